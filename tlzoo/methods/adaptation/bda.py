"""BDA: joint distribution adaptation with a balance between domains and classes."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_shares
from tlzoo.functional.transfer_components import mean_contrasts
from tlzoo.methods.adaptation.jda import JDA
from tlzoo.methods.transfer_components import Kernel, marginal_contrast
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space, Uniform

__all__ = ["BDA"]


class BDA(JDA):
    r"""Balanced distribution adaptation (Wang et al., ICDM 2017), https://arxiv.org/abs/1807.00516.

    As :class:`~tlzoo.methods.adaptation.jda.JDA`, with

    .. math:: M \propto (1 - \mu) \, C \, e_0 e_0^\top + \mu \sum_{c=1}^{C} e_c e_c^\top

    If ``weighted`` (W-BDA), the mean of a class counts by the square root of the class's share in its domain.

    Differs from the paper: the scale of components and rows is that of the authors' script, see the base class. That
    script adds the class terms of all rounds; ours are those of the round, as in the paper.

    Args:
        num_features: D.
        num_classes: C.
        balance: mu in [0, 1]; 0 is TCA.
        weighted: whether classes count by their shares.
        rounds: how often components are found.
        dimensions: K.
        regularization: lambda.
        kernel: ``"linear"`` or ``"primal"``.
        unit_length: whether rows have length 1 before and after.
        standardize: whether each domain is standardized first.
    """

    paper = Paper(
        title="Balanced Distribution Adaptation for Transfer Learning",
        authors=("Wang", "Chen", "Hao", "Feng", "Shen"),
        venue="ICDM",
        year=2017,
        arxiv="1807.00516",
    )
    space = Space(
        balance=Uniform(0.0, 1.0), dimensions=Choice((20, 50, 100, 200)), regularization=LogUniform(0.01, 100)
    )
    variants = ({}, {"balance": 0.9, "weighted": True, "dimensions": 2})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        balance: float = 0.5,
        weighted: bool = False,
        rounds: int = 10,
        dimensions: int = 100,
        regularization: float = 1.0,
        kernel: Kernel = "linear",
        unit_length: bool = True,
        standardize: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            num_classes,
            rounds=rounds,
            dimensions=dimensions,
            regularization=regularization,
            kernel=kernel,
            unit_length=unit_length,
            standardize=standardize,
        )
        check_shares(balance=balance)
        self.balance, self.weighted = balance, weighted

    def contrasts(self, labels: Tensor, answers: Tensor | None, size: int, like: Tensor) -> Tensor:
        """Return E (N + M, P) for labels (N,) and the target's answers (M,), None in the first round."""
        domains = marginal_contrast(len(labels), size, like)
        if answers is None:
            return domains
        classes = mean_contrasts(labels, answers, self.num_classes, balance=self.weighted).to(like)
        return torch.cat([((1 - self.balance) * self.num_classes) ** 0.5 * domains, self.balance**0.5 * classes], dim=1)
