"""Methods that weight source examples by how much the target needs them; features stay as they are."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from tlzoo.functional.checks import check_pair
from tlzoo.methods.base import fitted
from tlzoo.methods.checks import check_output
from tlzoo.methods.feature_method import FeatureMethod, TrainingExamples

__all__ = ["SourceWeighting", "median_distance"]


class SourceWeighting(FeatureMethod):
    r"""Weights source examples by an estimate of the density ratio (covariate shift).

    .. math:: w_i \approx \frac{p_t(x_i)}{p_s(x_i)}, \qquad \frac{1}{N} \sum_i w_i = 1

    A classifier that minimizes the weighted loss on the source then does what it would do on the target, as long as the
    labels depend on the features in the same way in both domains. Both domains are standardized by the statistics of
    the source, because own statistics of each would hide the shift that the weights make up for.

    A method implements :meth:`weigh`.

    Args:
        num_features: D.
        num_classes: C.
        standardize: whether features are first centered and scaled by the source's mean and deviation.
    """

    implements: ClassVar[str] = "weigh(source, target)"

    def __init__(self, num_features: int, num_classes: int, *, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        self.reserve("weights", 1)

    @property
    def transformable(self) -> bool:
        """Weights come from solvers outside torch."""
        return False

    def weigh(self, source: Tensor, target: Tensor) -> Tensor:
        """Return weights (N,) >= 0 for source (N, D) given target (M, D), both standardized, in float64 on the CPU.

        The scale is free: they are divided by their mean.
        """
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    @final
    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Standardize, and compute the weights.

        Raises:
            ValueError: all weights are 0.
        """
        check_pair(source, target)
        ours = self._remember("source", source.double())
        for part in ("mean", "deviation"):
            self.get_buffer(f"target_{part}").copy_(self.get_buffer(f"source_{part}"))
        theirs = self._standardized(target.double(), "target")
        weights = self.weigh(ours.cpu(), theirs.cpu())
        check_output(self, weights, {"source": ours, "target": theirs}, what="the weights")
        level = weights.mean()
        if not level > 0:
            raise ValueError(
                f"{type(self).__name__}: all {len(weights)} source examples got weight 0; the domains do not overlap "
                "at this bandwidth, use a wider one"
            )
        self.weights = (weights / level).to(self.get_buffer("source_mean"))

    @final
    def training_examples(
        self, source: Tensor, labels: Tensor, target: Tensor | None, *, weighted: bool
    ) -> TrainingExamples:
        """Return the source with its weights.

        Raises:
            ValueError: the classifier cannot weight examples.
        """
        if not weighted:
            raise ValueError(
                f"{type(self).__name__} weights source examples, which this classifier cannot do; use logistic or "
                "linear_svm"
            )
        return TrainingExamples(self.transform_source(source), labels, fitted(self, "weights"))

    def map_target(self, features: Tensor) -> Tensor:
        """Standardize features (B, D) by the statistics of the source."""
        return self._standardized(features, "target")


def median_distance(source: Tensor, target: Tensor) -> float:
    """Return the median distance between two different examples of both domains; 1 if that is 0.

    >>> import torch
    >>> median_distance(torch.zeros(1, 1), torch.full((1, 1), 3.0))
    3.0
    """
    distances = torch.pdist(torch.cat([source, target]))
    found = float(distances.median()) if len(distances) else 0.0
    return found or 1.0
