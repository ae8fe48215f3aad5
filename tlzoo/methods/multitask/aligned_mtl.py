"""Aligned-MTL: bring the principal components of the gradient matrix to one scale."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.functional.gramians import left_singular
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["AlignedMTL"]


class AlignedMTL(GramianWeighting):
    r"""Independent component alignment (Senushkin et al., CVPR 2023), https://arxiv.org/abs/2305.19000.

    .. math:: d = \frac{\sigma}{T} \sum_t (U V^\top)_t, \qquad J = U S V^\top

    with the smallest nonzero singular value sigma, so the matrix of aligned gradients has condition number 1.

    Differs from the authors' code: aligned gradients are averaged; the code sums them (``reduction="sum"``). In both,
    heads follow their own losses.

    Args:
        num_tasks: T.
        scale: ``"min"``: the paper's sigma; ``"median"`` or ``"rmse"``: the root of the median or mean square.
        reduction: ``"mean"``, or ``"sum"`` as in the authors' code, which is T times as long.

    >>> AlignedMTL(2).weights(torch.ones(2), torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.2500, 0.5000])
    """

    label = "Aligned-MTL"
    paper = Paper(
        title="Independent Component Alignment for Multi-Task Learning",
        authors=("Senushkin", "Patakin", "Kuznetsov", "Konushin"),
        venue="CVPR",
        year=2023,
        arxiv="2305.19000",
    )
    variants = ({}, {"scale": "median"}, {"scale": "rmse", "reduction": "sum"})

    def __init__(
        self,
        num_tasks: int,
        *,
        scale: Literal["min", "median", "rmse"] = "min",
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(num_tasks)
        check_choice(scale, ("min", "median", "rmse"), what="scale")
        check_choice(reduction, ("mean", "sum"), what="reduction")
        self.scale, self.reduction = scale, reduction

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the weights of the mean or sum of the aligned gradients."""
        vectors, values = left_singular(gramian)
        if not len(values):
            return torch.zeros_like(gramian[0])
        squares = values.square()
        scales = {"min": squares.min(), "median": squares.median(), "rmse": squares.mean()}
        weights: Tensor = scales[self.scale].sqrt() * (vectors / values) @ vectors.sum(dim=0)
        return weights / len(gramian) if self.reduction == "mean" else weights
