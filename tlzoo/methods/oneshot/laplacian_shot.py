"""LaplacianShot: give neighboring queries similar predictions."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import cosine_similarities, nearest_neighbors, negative_squared_distances, prototypes
from tlzoo.functional.checks import check_at_least, check_choice, check_counts, check_positive
from tlzoo.methods.oneshot.bd_cspn import rectified
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["LaplacianShot"]


class LaplacianShot(FeatureClassifier):
    r"""LaplacianShot (Ziko, Dolz, Granger & Ben Ayed, ICML 2020), https://arxiv.org/abs/2006.15486.

    Starting from :math:`\mathrm{softmax}(-a)`, the iteration

    .. math:: Y \leftarrow \mathrm{softmax}(-a + \lambda W Y)

    lowers the sum of :math:`Y \odot (\log Y + a - \lambda W Y)`, with the squared distances a to rectified prototypes
    and the nearest-neighbor matrix W of the queries. The logits are the argument of the last softmax. Transductive.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        weight: lambda, weight of the neighbors.
        neighbors: number of neighbors of each query, without itself; the authors' code has 3, with itself.
        rectification: of the prototypes: ``"softmax"``, as in the authors' code: support and queries join the class of
            the nearest mean by cosine and are averaged, each times its share of that class in softmax(sharpness *
            cosines); ``"bd_cspn"``, as in BDCSPN; ``"none"``: class means.
        sharpness: sharpness of the rectification.
        steps: number of iterations.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> LaplacianShot(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    paper = Paper(
        title="Laplacian Regularized Few-Shot Learning",
        authors=("Ziko", "Dolz", "Granger", "Ben Ayed"),
        venue="ICML",
        year=2020,
        arxiv="2006.15486",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({}, {"transform": "L2N", "neighbors": 3, "rectification": "bd_cspn"}, {"rectification": "none"})
    revision = 2
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        weight: float = 0.7,
        neighbors: int = 2,
        rectification: Literal["softmax", "bd_cspn", "none"] = "softmax",
        sharpness: float = 10.0,
        steps: int = 20,
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
        check_choice(rectification, ("softmax", "bd_cspn", "none"), what="rectification")
        check_at_least(0, weight=weight)
        check_positive(sharpness=sharpness)
        check_counts(neighbors=neighbors, steps=steps)
        self.weight, self.neighbors, self.steps = weight, neighbors, steps
        self.rectification, self.sharpness = rectification, sharpness

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers, query = self._prototypes(support, support_labels, query, way=way)
        # classes before queries: torch's softmax over a short last dimension takes seven times as long
        alone = negative_squared_distances(query, centers).transpose(1, 2).contiguous()
        near = nearest_neighbors(negative_squared_distances(query, query), self.neighbors)
        near = self.weight * near.transpose(1, 2)
        logits = alone
        for _ in range(self.steps):
            logits = alone + logits.softmax(dim=1) @ near
        return logits.transpose(1, 2)

    def _prototypes(self, support: Tensor, labels: Tensor, query: Tensor, *, way: int) -> tuple[Tensor, Tensor]:
        """Return the prototypes (E, way, D), and the queries (E, Q, D) moved to the support's mean where rectified."""
        means = prototypes(support, labels, way)
        if self.rectification == "none":
            return means, query
        if self.rectification == "bd_cspn":
            return rectified(support, labels, query, way=way, sharpness=self.sharpness)
        query = query + support.mean(dim=1, keepdim=True) - query.mean(dim=1, keepdim=True)
        items = torch.cat([support, query], dim=1)
        cosines = cosine_similarities(items, means)
        joined = F.one_hot(cosines.argmax(dim=-1), way).to(items.dtype)
        sums = ((self.sharpness * cosines).softmax(dim=-1) * joined).transpose(1, 2) @ items
        counts = joined.sum(dim=1).unsqueeze(2)
        return torch.where(counts > 0, sums / counts.clamp_min(1), means), query
