"""The base of bilinear compatibilities, which differ in their training loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.types import Scorer

__all__ = ["Bilinear"]


class Bilinear(LearnedCompatibility):
    r"""A bilinear score of L2-normalized features f (D,) and L2-normalized class embeddings a (A,).

    .. math:: F(x, c) = f^\top W a_c

    A subclass provides the loss. W starts from small random numbers, drawn from torch's generator at construction.

    Args:
        num_features: D.
        num_embedding: A.
    """

    def __init__(self, num_features: int, num_embedding: int) -> None:
        super().__init__(num_features, num_embedding)
        self.weight = nn.Parameter(torch.randn(num_features, num_embedding) / num_features**0.5)

    def scores(self, features: Tensor, class_embeddings: Tensor) -> Tensor:
        """Return (B, C) compatibilities of features (B, D) and class embeddings (C, A)."""
        return F.normalize(features, dim=1) @ self.weight @ F.normalize(class_embeddings, dim=1).T

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the scorer of features (B, D) among candidates (C, A)."""
        projected = self.weight @ F.normalize(class_embeddings, dim=1).T
        return lambda features: F.normalize(features, dim=1) @ projected
