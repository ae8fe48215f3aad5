"""LatEm: the best of several bilinear maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.functional.ranking import margin_violations
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.paper import Paper
from tlzoo.types import Losses, Scorer

__all__ = ["LatEm"]


class LatEm(LearnedCompatibility):
    r"""Latent embeddings (Xian et al., CVPR 2016), https://arxiv.org/abs/1603.08895.

    .. math::

        F(x, c) = \max_k f^\top W_k a_c, \qquad \ell = \sum_{c \ne y} \left[ m + F(x, c) - F(x, y) \right]_+

    Each map can serve one visual variant of the classes.

    Args:
        num_features: D.
        num_embedding: A.
        maps: K, the number of maps; the paper prunes from 16 or chooses among 2, 4, ... by validation.
        margin: m, the required lead of the right class; 1 in the paper.

    >>> latem = LatEm(2, 2, maps=1)
    >>> _ = latem.weight.data.copy_(torch.eye(2)[None])
    >>> latem.loss(torch.eye(2), torch.tensor([1, 1]), torch.eye(2))["loss"].item()
    1.0

    Differs from the paper: batches have the whole sum, the expectation (times the number of classes) of the paper's
    single random wrong class per step. Maps are not pruned.
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
        super().__init__(num_features, num_embedding)
        check_counts(maps=maps)
        check_positive(margin=margin)
        self.margin = margin
        self.weight = nn.Parameter(torch.randn(maps, num_features, num_embedding) / num_features**0.5)

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the mean loss of a batch."""
        scores = self._scores(features, class_embeddings)
        return {"loss": margin_violations(scores, labels, margin=self.margin).sum(dim=1).mean()}

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return F(x, c)."""
        return lambda features: self._scores(features, class_embeddings)

    def _scores(self, features: Tensor, class_embeddings: Tensor) -> Tensor:
        """Return the best (B, C) of the maps' compatibilities (K, B, C)."""
        return (F.normalize(features, dim=1) @ self.weight @ F.normalize(class_embeddings, dim=1).T).amax(dim=0)
