"""BSS: shrink the directions in which features of a batch hardly vary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Backbone

__all__ = ["BSS"]


class BSS(Strategy):
    r"""Batch spectral shrinkage (Chen et al., NeurIPS 2019), https://papers.nips.cc/paper/2019/hash/c6bff625bdb0393992c9d4db0c6bbe45-Abstract.html.

    .. math:: \eta \sum_{i=1}^{k} \sigma_{-i}^2

    with the k smallest singular values of the features (B, D) of a batch. The paper takes it for the directions that do
    not transfer; it adds the penalty to plain fine-tuning.

    Args:
        weight: eta.
        count: k; all singular values if a batch has fewer.
    """

    label = "BSS"
    paper = Paper(
        title="Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe Transfer Learning",
        authors=("Chen", "Wang", "Fu", "Long", "Wang"),
        venue="NeurIPS",
        year=2019,
        page="https://papers.nips.cc/paper/2019/hash/c6bff625bdb0393992c9d4db0c6bbe45-Abstract.html",
    )
    looks_at_features = True
    space = Space(weight=LogUniform(1e-4, 1e-1))

    def __init__(self, *, weight: float = 0.001, count: int = 1) -> None:
        super().__init__()
        check_at_least(0, weight=weight)
        check_counts(count=count)
        self.weight, self.count = weight, count

    def regularizer(self, backbone: Backbone, head: nn.Module) -> Tensor:
        """Return the scalar penalty.

        Raises:
            ValueError: the features of the batch were not given.
        """
        if self.features is None:
            raise InputError("BSS looks at the features of the batch; call penalty(backbone, head, features=...)")
        values = torch.linalg.svdvals(at_least_float32(self.features))
        penalty: Tensor = self.weight * values[-self.count :].square().sum()
        return penalty
