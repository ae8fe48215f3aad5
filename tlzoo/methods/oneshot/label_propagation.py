"""Label propagation over support and queries."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlzoo.functional import memberships, nearest_neighbors, negative_squared_distances
from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["LabelPropagation"]


class LabelPropagation(FeatureClassifier):
    r"""Label propagation, the head of TPN (Liu et al., ICLR 2019), https://arxiv.org/abs/1805.10002.

    .. math::

        F = (I - \alpha S)^{-1} Y, \qquad S = D^{-1/2} W D^{-1/2}, \qquad
        W_{ij} = \exp\left( -\frac{d_{ij}^2}{2 \sigma \overline{d^2}} \right)

    over all items of an episode, support and queries, with W between nearest neighbors. The logits are log F.
    Transductive.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        share: alpha, the share that an item takes from its neighbors.
        width: sigma, width of the kernel in mean squared distances of the episode.
        neighbors: number of neighbors of each item; an edge counts if it is a neighbor at either end.

    Differs from the paper: the width is a setting instead of the output of a network. The defaults of share and
    neighbors (0.99 and 20 in the paper) did best on validation episodes with one shot.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 1.0], [1, 9]]])
    >>> LabelPropagation(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "label propagation"
    paper = Paper(
        title="Learning to Propagate Labels: Transductive Propagation Network for Few-shot Learning",
        authors=("Liu", "Lee", "Park", "Kim", "Yang", "Hwang", "Yang"),
        venue="ICLR",
        year=2019,
        arxiv="1805.10002",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({}, {"transform": "UN", "share": 0.5, "neighbors": 2})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        share: float = 0.7,
        width: float = 0.03,
        neighbors: int = 10,
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
        check_shares(above_zero=True, below_one=True, share=share)
        check_positive(width=width)
        check_counts(neighbors=neighbors)
        self.share, self.width, self.neighbors = share, width, neighbors

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        edges = self._edges(torch.cat([support, query], dim=1))
        degrees = edges.sum(dim=2, keepdim=True).clamp_min(_TINY).sqrt()
        smooth = edges / degrees / degrees.transpose(1, 2)
        system = torch.eye(edges.shape[1]).to(edges) - self.share * smooth
        factor, _ = torch.linalg.cholesky_ex(system)  # NaN stays NaN, and is reported with its episode
        labels = torch.cat([members, members.new_zeros(*query.shape[:2], way)], dim=1)
        reached = torch.cholesky_solve(labels, factor)[:, support.shape[1] :]
        return reached.clamp_min(_TINY).log()

    def _edges(self, items: Tensor) -> Tensor:
        """Return the weights W (E, N, N) of the graph."""
        count = items.shape[1]
        closeness = negative_squared_distances(items, items).clamp_max(0)
        mean = -closeness.sum(dim=(1, 2), keepdim=True) / (count * (count - 1))
        kept = nearest_neighbors(closeness, self.neighbors)
        kept = torch.maximum(kept, kept.transpose(1, 2))
        return kept * (closeness / (2 * self.width * mean.clamp_min(_TINY))).exp()


_TINY = 1e-30
