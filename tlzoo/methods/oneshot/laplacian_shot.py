"""LaplacianShot: neighbors among the queries answer alike."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import negative_squared_distances
from tlzoo.methods.oneshot.bd_cspn import rectified
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["LaplacianShot"]


class LaplacianShot(FeatureClassifier):
    """LaplacianShot (Ziko, Dolz, Granger & Ben Ayed, ICML 2020), https://arxiv.org/abs/2006.15486.

    Y <- softmax(-a + weight * W Y), starting at softmax(-a): a are squared distances to rectified prototypes
    (BD-CSPN's), W says which queries are among the nearest neighbors of which. Transductive. Logits are what stands
    inside the last softmax.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        weight: of the neighbors, lambda in the paper.
        neighbors: of each query, without itself; the authors' code says 3 and counts the query among them.
        sharpness: of the prototypes' rectification, see BDCSPN.
        steps: of the iteration.

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
    variants = ({}, {"transform": "L2N", "neighbors": 3})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        weight: float = 0.7,
        neighbors: int = 2,
        sharpness: float = 1.0,
        steps: int = 20,
    ) -> None:
        super().__init__(num_features, transform)
        if neighbors < 1 or steps < 1:
            raise ValueError(f"neighbors {neighbors}, steps {steps}; expected at least 1 of each")
        self.weight, self.neighbors, self.sharpness, self.steps = weight, neighbors, sharpness, steps

    def classify(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers, query = rectified(support, support_labels, query, way=way, sharpness=self.sharpness)
        # classes before queries: torch's softmax over the last of few classes takes seven times as long
        alone = negative_squared_distances(query, centers).transpose(1, 2).contiguous()
        near = self.weight * _nearest(query, self.neighbors).transpose(1, 2)
        logits = alone
        for _ in range(self.steps):
            logits = alone + logits.softmax(dim=1) @ near
        return logits.transpose(1, 2)


def _nearest(query: Tensor, count: int) -> Tensor:
    """Return (E, Q, Q): 1 where the column's query is among the ``count`` nearest of the row's, itself not counted."""
    itself = torch.eye(query.shape[1], dtype=torch.bool, device=query.device)
    closeness = negative_squared_distances(query, query).detach().masked_fill(itself, -torch.inf)
    chosen = closeness.topk(min(count, query.shape[1] - 1), dim=-1).indices
    return torch.zeros_like(closeness).scatter(-1, chosen, 1.0)
