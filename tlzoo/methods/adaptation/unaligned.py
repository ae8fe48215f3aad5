"""Unchanged features: the baseline for transforms of frozen features."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.transforms import FeatureTransform
from tlzoo.types import Sees

__all__ = ["Unaligned"]


class Unaligned(FeatureTransform):
    """Both domains standardized by the source's mean and deviation, without seeing the target.

    It is the baseline for the other transforms and has the same classifier.

    Args:
        num_features: D.
        num_classes: C.
        standardize: False for features as they are.
    """

    for_regression = True
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Compute the mean and deviation of source (N, D)."""
        self._remember("source", source.double())

    def map_target(self, features: Tensor) -> Tensor:
        """Standardize features (B, D)."""
        return self._standardized(features, "source")
