"""The base of classifiers on frozen features, which center and normalize first."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_choice
from tlzoo.methods.base import fitted
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Sees

__all__ = ["FeatureClassifier", "Transform"]

Transform = Literal["UN", "L2N", "CL2N"]


class FeatureClassifier(EpisodeClassifier):
    """Leaves features unchanged (UN), divides them by their norm (L2N), or subtracts the base set's mean first (CL2N).

    The names come from SimpleShot (Wang et al., 2019), https://arxiv.org/abs/1911.04623.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N.
    """

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def __init__(self, num_features: int, transform: Transform) -> None:
        super().__init__()
        self.num_features = num_features
        check_choice(transform, ("UN", "L2N", "CL2N"), what="transform")
        self.transformation = transform
        self.reserve("base_mean", num_features)

    def learn_base(self, features: Tensor, labels: Tensor | None) -> None:
        """Keep the mean of the base features (N, D)."""
        self.base_mean = features.mean(dim=0)

    def transform(self, features: Tensor) -> Tensor:
        """Map features (..., D), each on its own, to transformed ones.

        Raises:
            RuntimeError: CL2N is used before ``fit_base``.
        """
        if self.transformation == "UN":
            return features
        if self.transformation == "CL2N":
            features = features - fitted(self, "base_mean", by="fit_base")
        return F.normalize(features, dim=-1)
