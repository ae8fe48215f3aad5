"""Compatibilities match features with descriptions of classes, which need not have examples."""

from __future__ import annotations

from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.precision import full_precision, working_dtype
from tlzoo.labels import class_labels
from tlzoo.methods.base import Method
from tlzoo.methods.checks import as_tensor, check_matrix, check_output, check_terms, check_width
from tlzoo.types import Losses, Scorer, Sees

__all__ = ["BoundScorer", "Compatibility", "LearnedCompatibility", "places_of"]

_SAME = 1e-4
"""Distance of the directions of two embeddings of one description, at most."""


def places_of(known: Tensor, embeddings: Tensor, seen: Tensor) -> Tensor:
    """Return the candidate (F,) that each class of a fit is, by the directions of their embeddings; -1 for none.

    Args:
        known: (F, A) class embeddings of the fit.
        embeddings: (C, A) of the candidates, in an order of their own.
        seen: (C,) True for candidates that are classes of the fit.
    """
    place = torch.full((len(known),), -1, dtype=torch.int64, device=embeddings.device)
    candidates = seen.nonzero()[:, 0]
    if len(candidates):
        own, other = F.normalize(embeddings[candidates], dim=1), F.normalize(known.to(embeddings), dim=1)
        distance, nearest = torch.cdist(own, other).min(dim=1)
        same = distance < _SAME
        place[nearest[same]] = candidates[same]
    return place


class Compatibility(Method):
    """Scores features against class descriptions.

    ``fit`` only gets seen classes; ``bind`` gets all candidates. A method implements :meth:`scorer`, and :meth:`learn`
    if it is fitted at once or :meth:`batch_loss` if it is trained step by step.

    Features and embeddings are tensors or NumPy arrays of any float dtype, labels integers of any dtype. A method works
    in the dtype of its weights and of its fit, at least float32; autocast does not reach inside.

    Attributes:
        num_features: D; None if any width will do.
        num_embedding: A; None if any width will do.
    """

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.CLASS_DESCRIPTIONS})
    implements: ClassVar[str] = (
        "scorer(class_embeddings, seen), learn(features, labels, class_embeddings) or batch_loss(...)"
    )
    num_features: int | None = None
    num_embedding: int | None = None

    @final
    def fit(self, features: Any, labels: Any, class_embeddings: Any) -> Self:
        """Learn from examples of seen classes; nothing happens for a method that learns nothing, or step by step.

        Args:
            features: (N, D).
            labels: (N,) integers, the row of ``class_embeddings`` for each example.
            class_embeddings: (C, A).

        Raises:
            ValueError: the shapes do not fit, there is no example, or a label has no class embedding.
            FloatingPointError: NaN or Inf in features or class embeddings; the message names the row.
        """
        features, labels, class_embeddings = self._taken(features, labels, class_embeddings)
        with full_precision(features):
            self.learn(features, labels, class_embeddings)
        return self

    @final
    def loss(self, features: Any, labels: Any, class_embeddings: Any) -> Losses:
        """Return the loss of a batch, for methods that are trained step by step; arguments as in :meth:`fit`.

        Raises:
            ValueError: the shapes do not fit, there is no example, or a label has no class embedding.
            FloatingPointError: NaN or Inf in inputs or loss. Checked on the CPU only.
        """
        features, labels, class_embeddings = self._taken(features, labels, class_embeddings)
        with full_precision(features):
            terms = self.batch_loss(features, labels, class_embeddings)
        check_terms(self, terms, {"features": features, "class embeddings": class_embeddings})
        return terms

    @final
    def bind(self, class_embeddings: Any, *, seen: Any) -> BoundScorer:
        """Return the scorer among candidates.

        Args:
            class_embeddings: (C, A).
            seen: (C,) booleans, True for classes of the training set.

        Raises:
            ValueError: the shapes do not fit, or there is no candidate.
            RuntimeError: the method needs ``fit`` first.
            FloatingPointError: NaN or Inf in the class embeddings; the message names the row.
        """
        embeddings = as_tensor(class_embeddings, what="class embeddings")
        embeddings = embeddings.to(working_dtype([*self.parameters(), *self.buffers()], embeddings))
        check_matrix(self, embeddings, "class embeddings", "(C, A)", num_embedding=self.num_embedding)
        seen = as_tensor(seen, what="seen").to(embeddings.device).bool()
        if seen.shape != embeddings.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: {len(embeddings)} candidates and seen of shape {tuple(seen.shape)}; "
                "expected one boolean each"
            )
        with full_precision(embeddings):
            return BoundScorer(self, self.scorer(embeddings, seen), embeddings.dtype)

    @property
    def trained(self) -> bool:
        """Whether it is trained step by step on ``loss`` instead of being fitted at once."""
        return type(self).batch_loss is not Compatibility.batch_loss

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Learn from features (N, D) with labels (N,), which index class_embeddings (C, A)."""

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the loss of features (B, D) with labels (B,), which index class_embeddings (C, A)."""
        raise NotImplementedError(f"{type(self).__name__} has no loss; call fit")

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return a function from features (B, D) to scores (B, C) among class_embeddings (C, A); seen is (C,) bool."""
        raise NotImplementedError(f"{type(self).__name__} implements no scorer(class_embeddings, seen)")

    def _taken(self, features: Any, labels: Any, class_embeddings: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return checked examples and class embeddings in the method's working dtype."""
        name = type(self).__name__
        x, embeddings = as_tensor(features, what="features"), as_tensor(class_embeddings, what="class embeddings")
        dtype = working_dtype(self.parameters(), x, embeddings)
        x, embeddings = x.to(dtype), embeddings.to(dtype)
        check_matrix(self, x, "features", "(N, D)", num_features=self.num_features)
        check_matrix(self, embeddings, "class embeddings", "(C, A)", num_embedding=self.num_embedding)
        y = class_labels(labels, num_classes=len(embeddings), size=len(x), complete=True, what=f"{name}: labels")
        return x, y.to(x.device), embeddings


class LearnedCompatibility(Compatibility):
    """A compatibility between two spaces of known widths.

    Args:
        num_features: D, width of the features.
        num_embedding: A, width of the class embeddings.
    """

    def __init__(self, num_features: int, num_embedding: int) -> None:
        super().__init__()
        self.num_features, self.num_embedding = num_features, num_embedding


class BoundScorer:
    """A compatibility bound to its candidates, which maps features (B, D) to checked scores (B, C).

    Attributes:
        method: the compatibility.
        scorer: its own scorer.
    """

    def __init__(self, method: Compatibility, scorer: Scorer, dtype: torch.dtype) -> None:
        self.method, self.scorer, self._dtype = method, scorer, dtype

    def __call__(self, features: Any) -> Tensor:
        """Map features (B, D), a tensor or an array, to scores (B, C).

        Raises:
            ValueError: the features are not a matrix.
            FloatingPointError: NaN or Inf in the scores; the message names the row. Checked on the CPU only.
        """
        values = as_tensor(features, what="features").to(self._dtype)
        if values.ndim != 2:
            raise ValueError(f"{type(self.method).__name__}: features of shape {tuple(values.shape)}; expected (B, D)")
        check_width(self.method, values, "features", num_features=self.method.num_features)
        with full_precision(values):
            scores = self.scorer(values)
        check_output(self.method, scores, {"features": values}, what="the scores")
        return scores
