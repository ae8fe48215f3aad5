"""Standardization of each domain by its own statistics: the simplest alignment of frozen features."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.transforms import FeatureTransform

__all__ = ["Standardization"]


class Standardization(FeatureTransform):
    """Features of each domain, centered by its own mean and divided by its own deviation.

    This is the first step of CORAL and subspace alignment on its own, and equals adaptive batch normalization (AdaBN)
    on frozen features.

    Args:
        num_features: D.
        num_classes: C.

    >>> import torch
    >>> source = torch.tensor([[0.0], [2.0]])
    >>> method = Standardization(1, 2).fit(source, 10 * source + 5)
    >>> method.transform_target(10 * source + 5).flatten().tolist()
    [-1.0, 1.0]
    """

    for_regression = True

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes)

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Compute the means and deviations of source (N, D) and target (M, D)."""
        for side, features in (("source", source), ("target", target)):
            self._remember(side, features.double())
