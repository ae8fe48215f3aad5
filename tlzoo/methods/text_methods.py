"""Methods that read: they match raw texts with the texts of classes, no embedding of either."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlzoo.methods.base import Compatibility
from tlzoo.methods.guards import check_output
from tlzoo.types import Need, Sees

__all__ = ["TextCompatibility"]

TextScorer = Callable[[Sequence[str]], Tensor]


def _guard_texts(bind: Callable[..., TextScorer]) -> Callable[..., TextScorer]:
    """Check the texts of candidates and of queries, then the scores."""

    @functools.wraps(bind)
    def guarded(self: TextCompatibility, class_texts: Sequence[str], *, seen: Tensor) -> TextScorer:
        name = type(self).__name__
        _check_texts(name, class_texts, "class texts")
        if seen.shape != (len(class_texts),):
            raise ValueError(
                f"{name}: {len(class_texts)} candidates and seen of shape {tuple(seen.shape)}; expected a boolean each"
            )
        scorer = bind(self, class_texts, seen=seen)

        def score(texts: Sequence[str]) -> Tensor:
            _check_texts(name, texts, "texts")
            scores = scorer(texts)
            check_output(self, scores, {}, what="the scores")
            return scores

        return score

    return guarded


def _check_texts(name: str, texts: Any, what: str) -> None:
    if isinstance(texts, str | Tensor) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name}: {what} of type {type(texts).__name__}; it reads texts: give a list of strings")
    if not len(texts):
        raise ValueError(f"{name}: no {what}; expected one at least")


class TextCompatibility(Compatibility):
    """Scores raw texts against the texts of classes; nothing is fitted.

    It declares ``Need.TEXTS``: ``bind`` is given a text for each candidate in place of embeddings, and the scorer raw
    texts in place of features.
    """

    sees = frozenset({Sees.CLASS_DESCRIPTIONS})
    needs = frozenset({Need.TEXTS})
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {"bind": _guard_texts}

    def bind(self, class_texts: Sequence[str], *, seen: Tensor) -> TextScorer:  # type: ignore[override]  # reads texts
        """Return the scorer of B texts among the candidates' C texts, scores (B, C).

        Raises:
            TypeError: something else than a list of strings.
            ValueError: no candidate or no text.
            FloatingPointError: NaN or Inf in the scores. Looked at on the CPU only.
        """
        raise NotImplementedError

    @torch.no_grad()
    def answer(self, texts: Sequence[str], class_texts: Sequence[str]) -> Tensor:
        """Return the place (B,) of each text's best class, for a loop of one's own."""
        return self.bind(class_texts, seen=torch.zeros(len(class_texts), dtype=torch.bool))(texts).argmax(dim=1)
