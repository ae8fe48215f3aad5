"""CR-MOGM: the weights of another method, averaged over steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_shares
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper
from tlzoo.registry import create_method, list_methods
from tlzoo.space import Space, Uniform
from tlzoo.spelling import nearest

__all__ = ["CRMOGM"]


class CRMOGM(Weighting):
    r"""Correlation-reduced stochastic multi-objective gradient manipulation (Zhou et al., NeurIPS 2022), https://proceedings.neurips.cc/paper_files/paper/2022/file/f91bd64a3620aad8e70a27ad9cb3ca57-Paper-Conference.pdf.

    .. math:: \lambda_k = \alpha \lambda_{k-1} + (1 - \alpha) \hat\lambda_k

    with the weights :math:`\hat\lambda` of another method on the batch, whose correlation with the gradients of the
    same batch biases the update. The first step takes them as they are.

    Differs from the paper: alpha is constant, as in TorchJD; the paper lets it grow towards 1. A task without labels in
    a batch keeps its average.

    Args:
        num_tasks: T.
        base: the method that gives the weights: one that weights gradients by their inner products.
        base_settings: its settings.
        alpha: share of the average that stays, below 1.

    >>> import torch
    >>> method = CRMOGM(2, alpha=0.5)
    >>> for length in (4.0, 1.0):
    ...     weights = method.weights(torch.ones(2), torch.diag(torch.tensor([length, 1.0])))
    >>> weights
    tensor([0.3500, 0.6500])
    """

    label = "CR-MOGM"
    paper = Paper(
        title="On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond",
        authors=("Zhou", "Zhang", "Jiang", "Zhong", "Gu", "Zhu"),
        venue="NeurIPS",
        year=2022,
        page="https://proceedings.neurips.cc/paper_files/paper/2022/file/f91bd64a3620aad8e70a27ad9cb3ca57-Paper-Conference.pdf",
    )
    order = "gramian"
    parts: ClassVar[Mapping[str, str]] = {"base": "base_settings"}
    space = Space(alpha=Uniform(0.5, 0.99))
    variants = ({}, {"base": "cagrad", "base_settings": {"c": 0.4}})

    def __init__(
        self,
        num_tasks: int,
        *,
        base: str = "mgda",
        base_settings: Mapping[str, Any] | None = None,
        alpha: float = 0.9,
    ) -> None:
        super().__init__(num_tasks)
        check_shares(below_one=True, alpha=alpha)
        name = base if "/" in base else f"multitask/{base}"
        if name not in list_methods("multitask"):
            raise InputError(nearest(name, list_methods("multitask"), kind="method"))
        made = create_method(name, num_tasks=num_tasks, **dict(base_settings or {}))
        if not isinstance(made, GramianWeighting):
            raise InputError(f"CR-MOGM averages weights from inner products of gradients; {base} has none")
        self.base, self.alpha = made, alpha
        self.register_buffer("averages", torch.full((num_tasks,), torch.nan))

    @torch.no_grad()
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the averages; 0 for tasks without labels in the batch."""
        with self.base.among(self.present):
            found = self.base.weigh(losses, gramian)
        averages = self.get_buffer("averages")
        before = averages.to(found)
        new = torch.where(before.isnan(), found, self.alpha * before + (1 - self.alpha) * found)
        kept = new if self.present is None else torch.where(self.present.to(new.device), new, before)
        averages.copy_(kept)
        return self.those_present(kept)
