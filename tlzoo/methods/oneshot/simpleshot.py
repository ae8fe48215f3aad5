"""SimpleShot: nearest centroid on transformed features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import negative_squared_distances, prototypes
from tlzoo.functional.checks import check_choice
from tlzoo.methods.base import EpisodeClassifier, fitted
from tlzoo.registry import Paper
from tlzoo.types import Sees

__all__ = ["SimpleShot"]


class SimpleShot(EpisodeClassifier):
    """SimpleShot (Wang, Chao, Weinberger & van der Maaten, 2019), https://arxiv.org/abs/1911.04623.

    Features are left alone (UN), divided by their norm (L2N), or centred by the mean of the base set and then divided
    by their norm (CL2N); the nearest centroid answers. Centroids are not normalized again, as in the paper.

    Args:
        num_features: D, the width of the base mean.
        transform: which of the three.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0]]])
    >>> SimpleShot(2, transform="L2N")(support, labels, query, way=2).tolist()
    [[[0.0, -2.0]]]
    """

    paper = Paper(
        title="SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning",
        authors=("Wang", "Chao", "Weinberger", "van der Maaten"),
        venue="arXiv",
        year=2019,
        arxiv="1911.04623",
    )
    variants = ({}, {"transform": "L2N"}, {"transform": "UN"})
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def __init__(self, num_features: int, *, transform: Literal["UN", "L2N", "CL2N"] = "CL2N") -> None:
        super().__init__()
        check_choice(transform, ("UN", "L2N", "CL2N"), what="transform")
        self.transform = transform
        self.register_buffer("base_mean", torch.full((num_features,), torch.nan))

    def fit_base(self, features: Tensor, labels: Tensor | None) -> None:
        """Store the mean of the base features (N, D)."""
        self.get_buffer("base_mean").copy_(features.mean(dim=0))

    def _transformed(self, features: Tensor) -> Tensor:
        if self.transform == "UN":
            return features
        if self.transform == "L2N":
            return F.normalize(features, dim=-1)
        return F.normalize(features - fitted(self, "base_mean", by="fit_base"), dim=-1)

    def forward(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way).

        Raises:
            RuntimeError: CL2N before ``fit_base``.
        """
        centers = prototypes(self._transformed(support), support_labels, way)
        return negative_squared_distances(self._transformed(query), centers)
