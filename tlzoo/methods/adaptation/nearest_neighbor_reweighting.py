"""Source weights by how many target examples are nearest to each."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.source_weighting import SourceWeighting
from tlzoo.paper import Paper

__all__ = ["NearestNeighborReweighting"]


class NearestNeighborReweighting(SourceWeighting):
    r"""Nearest-neighbor importance weights (Loog, MLSP 2012), https://doi.org/10.1109/MLSP.2012.6349714.

    .. math:: w_i = 1 + \bigl\lvert \{ j : x_i \text{ is the source example nearest to } t_j \} \bigr\rvert

    the share of the target in the Voronoi cell of each source example, with Laplace's smoothing.

    Args:
        num_features: D.
        num_classes: C.
        smoothing: whether 1 is added, so that no example is dropped.
        standardize: whether features are standardized by the source's mean and deviation first.

    >>> source, target = torch.tensor([[0.0], [4.0]]), torch.tensor([[3.0], [5.0], [6.0]])
    >>> NearestNeighborReweighting(1, 2).fit(source, target).weights.tolist()
    [0.4000000059604645, 1.600000023841858]
    """

    label = "nearest-neighbor reweighting"
    for_regression = True
    paper = Paper(
        title="Nearest Neighbor-Based Importance Weighting",
        authors=("Loog",),
        venue="MLSP",
        year=2012,
        doi="10.1109/MLSP.2012.6349714",
    )
    variants = ({}, {"smoothing": False, "standardize": False})

    def __init__(
        self, num_features: int, num_classes: int, *, smoothing: bool = True, standardize: bool = True
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        self.smoothing = smoothing

    def weigh(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the counts (N,) of source (N, D) given target (M, D)."""
        nearest = torch.cdist(target, source).argmin(dim=1)
        return torch.bincount(nearest, minlength=len(source)).to(source) + int(self.smoothing)
