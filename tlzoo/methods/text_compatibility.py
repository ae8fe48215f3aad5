"""Methods that read: they match raw texts with the texts of classes, no embedding of either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from tlzoo.methods.base import Method
from tlzoo.methods.checks import check_output
from tlzoo.types import Need, Sees

__all__ = ["BoundReader", "TextCompatibility", "TextScorer"]

TextScorer = Callable[[Sequence[str]], Tensor]
"""Maps B texts to scores (B, C)."""


class TextCompatibility(Method):
    """Scores raw texts against the texts of classes; nothing is fitted. A method implements :meth:`scorer`.

    It declares ``Need.TEXTS``: the harness gives it texts where a
    :class:`~tlzoo.methods.compatibility.Compatibility` gets features and embeddings.
    """

    sees = frozenset({Sees.CLASS_DESCRIPTIONS})
    needs = frozenset({Need.TEXTS})
    implements: ClassVar[str] = "scorer(class_texts, seen)"
    trained: ClassVar[bool] = False

    @final
    def bind(self, class_texts: Sequence[str], *, seen: Tensor) -> BoundReader:
        """Return the scorer of B texts among the candidates' C texts, scores (B, C).

        Args:
            class_texts: one text a candidate.
            seen: (C,) booleans, True where the class was trained on.

        Raises:
            TypeError: the texts are not a list of strings.
            ValueError: there is no candidate, or ``seen`` has the wrong length.
        """
        _check_texts(self, class_texts, "class texts")
        if seen.shape != (len(class_texts),):
            raise ValueError(
                f"{type(self).__name__}: {len(class_texts)} candidates and seen of shape {tuple(seen.shape)}; expected "
                "one boolean each"
            )
        return BoundReader(self, self.scorer(class_texts, seen))

    def scorer(self, class_texts: Sequence[str], seen: Tensor) -> TextScorer:
        """Return what maps B texts to scores (B, C) among C class texts; seen (C,) is boolean."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    @torch.no_grad()
    def answer(self, texts: Sequence[str], class_texts: Sequence[str]) -> Tensor:
        """Return the place (B,) of each text's best class, for a loop of one's own."""
        return self.bind(class_texts, seen=torch.zeros(len(class_texts), dtype=torch.bool))(texts).argmax(dim=1)


class BoundReader:
    """A method that reads, bound to its candidates: texts in, checked scores (B, C) out.

    Attributes:
        method: the method.
        scorer: its own scorer.
    """

    def __init__(self, method: TextCompatibility, scorer: TextScorer) -> None:
        self.method, self.scorer = method, scorer

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Map B texts to scores (B, C).

        Raises:
            TypeError: the texts are not a list of strings.
            ValueError: there are no texts.
            FloatingPointError: NaN or Inf in the scores. Checked on the CPU only.
        """
        _check_texts(self.method, texts, "texts")
        scores = self.scorer(texts)
        check_output(self.method, scores, {}, what="the scores")
        return scores


def _check_texts(method: TextCompatibility, texts: Any, what: str) -> None:
    name = type(method).__name__
    if isinstance(texts, str | Tensor) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name}: {what} of type {type(texts).__name__}; it reads texts: give a list of strings")
    if not len(texts):
        raise ValueError(f"{name}: no {what}; expected one at least")
