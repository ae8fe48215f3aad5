"""BSP: penalize the largest singular values of the features."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import spectral_penalty
from tlzoo.functional.checks import check_counts
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["BSP"]


class BSP(Statistic):
    r"""Batch spectral penalization (Chen et al., ICML 2019), https://proceedings.mlr.press/v97/chen19i.html.

    .. math:: w \sum_{i=1}^{k} \sigma_i(F_s)^2 + \sigma_i(F_t)^2

    The penalty keeps an adversary from sacrificing discriminability. Use it beside one: ``bsp+dann``, ``bsp+cdan``.

    Args:
        num_features: D.
        num_classes: C.
        count: k, the number of singular values per side.
        weight: trade-off of the term, as in the authors' code.
    """

    for_regression = True
    paper = Paper(
        title="Transferability vs. Discriminability: Batch Spectral Penalization for Adversarial Domain Adaptation",
        authors=("Chen", "Wang", "Long", "Wang"),
        venue="ICML",
        year=2019,
        page="https://proceedings.mlr.press/v97/chen19i.html",
    )
    logged = "spectral_penalty"
    space = Space(weight=LogUniform(2e-05, 0.002))
    variants = ({}, {"count": 2})

    def __init__(self, num_features: int, num_classes: int, *, count: int = 1, weight: float = 2e-4) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_counts(count=count)
        self.count = count

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the penalty of features (N, D) and (M, D)."""
        return spectral_penalty(source.features, target.features, count=self.count)
