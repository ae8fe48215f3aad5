"""Embedding matching: the class with the nearest description."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from tlzoo.methods.compatibility import Compatibility
from tlzoo.types import Scorer, Sees

__all__ = ["Cosine"]


class Cosine(Compatibility):
    """Cosine similarity of features and class embeddings in one space, without training.

    It is the baseline of every zero-shot table on text.

    >>> import torch
    >>> score = Cosine().bind(torch.eye(2), seen=torch.tensor([False, False]))
    >>> score(torch.tensor([[0.0, 7.0]])).tolist()
    [[0.0, 1.0]]
    """

    sees = frozenset({Sees.CLASS_DESCRIPTIONS})

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the scorer of features (B, A) among candidates (C, A), cosines in [-1, 1].

        Raises:
            ValueError: when scoring, features and embeddings differ in width.
        """
        return lambda features: _cosines(features, class_embeddings)


def _cosines(features: Tensor, class_embeddings: Tensor) -> Tensor:
    if features.shape[1] != class_embeddings.shape[1]:
        raise ValueError(
            f"features of width {features.shape[1]} and class embeddings of width {class_embeddings.shape[1]} live in "
            "different spaces; encode both with one model, or learn a map (ridge, eszsl)"
        )
    return F.normalize(features, dim=1) @ F.normalize(class_embeddings, dim=1).T
