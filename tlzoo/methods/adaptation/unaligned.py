"""Features as they are: what transforms of frozen features are judged against."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from tlzoo.methods.transforms import FeatureTransform
from tlzoo.types import Sees

__all__ = ["Unaligned"]


class Unaligned(FeatureTransform):
    """The identity, which never sees the target: the classifier of the other transforms on source features as they are.

    Args:
        num_features: D.
        num_classes: C.
    """

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})

    def fit(self, source: Tensor, target: Tensor | None) -> Self:
        """Do nothing."""
        return self

    def transform_source(self, features: Tensor) -> Tensor:
        """Return features (B, D)."""
        return features

    def transform_target(self, features: Tensor) -> Tensor:
        """Return features (B, D)."""
        return features
