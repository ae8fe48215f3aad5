"""LAME: correct predictions so that neighbors in the batch agree."""

from __future__ import annotations

from typing import Any, get_args

from torch import Tensor, nn

from tlzoo.functional.checks import check_at_least, check_choice, check_counts
from tlzoo.functional.laplacian import Affinity, affinities, laplacian_adjusted
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.test_time import TestTime
from tlzoo.paper import Paper

__all__ = ["LAME"]


class LAME(TestTime):
    """Laplacian adjusted maximum-likelihood estimation (Boudiaf et al., CVPR 2022), https://arxiv.org/abs/2201.05718.

    Within a test batch, Z <- softmax(log p + ``weight`` * W Z) until it stays, with W the affinities of normalized
    features. The model stays as it is, and nothing is remembered.

    Args:
        model: the source model; copied.
        affinity: ``"rbf"``, the default of the authors' code: exp(-d^2 / (2 s^2)) with s the mean distance to the
            ``neighbors``-th nearest, oneself counted; ``"knn"``: 1 for the ``neighbors`` nearest others; ``"linear"``:
            the inner product.
        neighbors: number of neighbors of each example.
        weight: lambda, the weight of the affinities.
        steps: largest number of iterations.
    """

    paper = Paper(
        title="Parameter-free Online Test-time Adaptation",
        authors=("Boudiaf", "Mueller", "Ben Ayed", "Bertinetto"),
        venue="CVPR",
        year=2022,
        arxiv="2201.05718",
    )
    revision = 2
    variants = ({}, {"affinity": "knn", "neighbors": 2}, {"affinity": "linear"})

    def __init__(
        self,
        model: nn.Module,
        *,
        affinity: Affinity = "rbf",
        neighbors: int = 5,
        weight: float = 1.0,
        steps: int = 100,
    ) -> None:
        super().__init__(model)
        check_choice(affinity, get_args(Affinity), what="affinity")
        check_counts(neighbors=neighbors, steps=steps)
        check_at_least(0, weight=weight)
        self.affinity: Affinity = affinity
        self.neighbors, self.weight, self.steps = neighbors, weight, steps

    def adapt(self, inputs: Any) -> Tensor:
        """Return log-probabilities (B, C), adjusted to the neighbors."""
        prediction = self.predict(inputs)
        unary = at_least_float32(prediction.logits).log_softmax(dim=1)
        affinity = affinities(prediction.features, self.affinity, neighbors=self.neighbors)
        return laplacian_adjusted(unary, affinity, weight=self.weight, steps=self.steps)
