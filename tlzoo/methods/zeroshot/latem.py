"""LatEm: several bilinear maps, the best of which counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.ranking import margin_violations
from tlzoo.methods.base import Compatibility
from tlzoo.paper import Paper
from tlzoo.types import Losses

__all__ = ["LatEm"]


class LatEm(Compatibility):
    """Latent embeddings (Xian et al., CVPR 2016), https://arxiv.org/abs/1603.08895.

    F(x, c) = max over k of f^T W_k a_c: piecewise linear, each map free to serve one visual variant of the classes. The
    loss of an example is the sum over wrong classes of [margin + F(x, c) - F(x, y)]+.

    Args:
        num_features: D.
        num_embedding: A.
        maps: K; the paper prunes from 16 or chooses among 2, 4, ... by validation.
        margin: by which the right class must lead; the paper's is 1.

    >>> latem = LatEm(2, 2, maps=1)
    >>> _ = latem.weight.data.copy_(torch.eye(2)[None])
    >>> latem.loss(torch.eye(2), torch.tensor([1, 1]), torch.eye(2))["loss"].item()
    1.0

    Differs from the paper: the whole sum in batches, which is the expectation (times the number of classes) of its
    single random wrong class a step; no pruning of maps.
    """

    paper = Paper(
        title="Latent Embeddings for Zero-shot Classification",
        authors=("Xian", "Akata", "Sharma", "Nguyen", "Hein", "Schiele"),
        venue="CVPR",
        year=2016,
        arxiv="1603.08895",
    )
    variants = ({}, {"maps": 1})

    def __init__(self, num_features: int, num_embedding: int, *, maps: int = 4, margin: float = 1.0) -> None:
        super().__init__()
        if maps < 1:
            raise ValueError(f"{maps} maps; expected at least one")
        self.margin = margin
        self.weight = nn.Parameter(torch.randn(maps, num_features, num_embedding) / num_features**0.5)

    def loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the mean loss of features (B, D), labels (B,) into class_embeddings (C, A)."""
        scores = self._scores(features, F.normalize(class_embeddings, dim=1))
        return {"loss": margin_violations(scores, labels, margin=self.margin).sum(dim=1).mean()}

    def bind(self, class_embeddings: Tensor, *, seen: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the scorer of features (B, D) among candidates (C, A)."""
        directions = F.normalize(class_embeddings, dim=1)

        def score(features: Tensor) -> Tensor:
            return self._scores(features, directions)

        return score

    def _scores(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return (B, C), the best of the maps' (K, B, C) compatibilities."""
        return (F.normalize(features, dim=1) @ self.weight @ directions.T).amax(dim=0)
