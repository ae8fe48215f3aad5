"""The base of classifiers on frozen features, which center and normalize first."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.functional.norms import directions
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.base import fitted
from tlzoo.methods.checks import as_tensor
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Sees

__all__ = ["FeatureClassifier", "Transform"]

Transform = Literal["UN", "L2N", "CL2N"]

_BY = 'fit_base(features of base classes) first, give base_mean=..., or choose transform="L2N", which needs none'


class FeatureClassifier(EpisodeClassifier):
    """Leaves features unchanged (UN), divides them by their norm (L2N), or subtracts the base set's mean first (CL2N).

    The names come from SimpleShot (Wang et al., 2019), https://arxiv.org/abs/1911.04623.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by :meth:`fit_base`.

    Raises:
        ValueError: the mean has another width than D.
    """

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def __init__(self, num_features: int, transform: Transform, *, base_mean: Any = None) -> None:
        super().__init__()
        self.num_features = num_features
        check_choice(transform, ("UN", "L2N", "CL2N"), what="transform")
        self.transformation = transform
        self.reserve("base_mean", num_features)
        if base_mean is not None:
            mean = at_least_float32(as_tensor(base_mean, what="base_mean"))
            if mean.shape != (num_features,):
                raise ValueError(f"base_mean of shape {tuple(mean.shape)}; expected ({num_features},)")
            self.base_mean = mean.detach().clone()

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor arguments; a given ``base_mean`` is state, which the weights hold."""
        settings = super().settings
        return settings | {"base_mean": None} if "base_mean" in settings else settings

    def learn_base(self, features: Tensor, labels: Tensor | None) -> None:
        """Keep the mean of the base features (N, D)."""
        self.base_mean = features.mean(dim=0)

    def transform(self, features: Tensor) -> Tensor:
        """Map features (..., D), each on its own, to transformed ones.

        Raises:
            RuntimeError: CL2N is used without a base mean.
        """
        if self.transformation == "UN":
            return features
        if self.transformation == "CL2N":
            features = features - fitted(self, "base_mean", by=_BY).to(features)
        return directions(features)
