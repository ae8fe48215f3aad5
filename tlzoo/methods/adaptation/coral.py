"""CORAL: whiten the source features and recolor them with the covariance of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import covariance, symmetric_power
from tlzoo.functional.checks import check_at_least, check_pair
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.paper import Paper

__all__ = ["CORAL"]


class CORAL(FeatureTransform):
    """Correlation alignment (Sun, Feng & Saenko, AAAI 2016), https://arxiv.org/abs/1511.05547.

    Each domain is standardized by its own mean and deviation, as in the paper. Source features are then multiplied by

    .. math:: (C_s + r I)^{-1/2} (C_t + r I)^{1/2}

    With r = 0 their covariance equals the target's exactly, which takes more examples than dimensions.

    Args:
        num_features: D.
        num_classes: C.
        regularization: r.
        standardize: whether each domain is standardized first.

    >>> source = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> turn = torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    >>> coral = CORAL(2, 2, regularization=0.0).fit(source, source @ turn)
    >>> aligned, wanted = coral.transform_source(source), coral.transform_target(source @ turn)
    >>> torch.allclose(covariance(aligned), covariance(wanted), atol=1e-5)
    True
    """

    for_regression = True
    paper = Paper(
        title="Return of Frustratingly Easy Domain Adaptation",
        authors=("Sun", "Feng", "Saenko"),
        venue="AAAI",
        year=2016,
        arxiv="1511.05547",
    )
    variants = ({}, {"regularization": 0.1, "standardize": False})

    def __init__(
        self, num_features: int, num_classes: int, *, regularization: float = 1.0, standardize: bool = True
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_at_least(0, regularization=regularization)
        self.regularization = regularization
        self.register_buffer("map", torch.full((num_features, num_features), torch.nan))

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the map from source (N, D) and target (M, D), in float64.

        Raises:
            ValueError: a side has fewer than two rows; without regularization, a covariance is singular.
        """
        check_pair(source, target, least=2)
        covariances = []
        for name, features in (("source", source.double()), ("target", target.double())):
            identity = torch.eye(self.num_features).to(features)
            covariances.append(covariance(self._remember(name, features)) + self.regularization * identity)
        ours, theirs = covariances
        self.get_buffer("map").copy_(symmetric_power(ours, -0.5) @ symmetric_power(theirs, 0.5))

    def map_source(self, features: Tensor) -> Tensor:
        """Standardize, whiten and recolor features (B, D)."""
        return self._standardized(features, "source") @ fitted(self, "map")
