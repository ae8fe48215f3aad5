"""Guards of methods that match features with class descriptions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tlzoo.methods.checks import check_matrix, check_output
from tlzoo.types import Losses, Scorer

if TYPE_CHECKING:
    from tlzoo.methods.base import Compatibility

__all__ = ["guard_bind", "guard_fit", "guard_loss"]


def guard_fit(fit: Callable[..., Compatibility]) -> Callable[..., Compatibility]:
    """Check the examples and classes of a fit."""

    @functools.wraps(fit)
    def guarded(self: Compatibility, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Compatibility:
        check_matrix(self, features, "features", "(N, D)")
        check_matrix(self, class_embeddings, "class embeddings", "(C, A)")
        if labels.shape != features.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: {len(features)} features and labels of shape {tuple(labels.shape)}; "
                "expected one label each"
            )
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= len(class_embeddings):
            raise ValueError(
                f"{type(self).__name__}: labels from {lowest} to {highest} for {len(class_embeddings)} class "
                "embeddings; expected a row for each label"
            )
        return fit(self, features, labels, class_embeddings)

    return guarded


def guard_loss(loss: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the loss of a compatibility that is trained step by step."""

    @functools.wraps(loss)
    def guarded(self: Compatibility, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        terms = loss(self, features, labels, class_embeddings)
        inputs = {"features": features, "class embeddings": class_embeddings}
        check_output(self, terms["loss"], inputs, what="the loss")
        return terms

    return guarded


def guard_bind(bind: Callable[..., Scorer]) -> Callable[..., Scorer]:
    """Check candidates, and the scores of the scorer that is returned."""

    @functools.wraps(bind)
    def guarded(self: Compatibility, class_embeddings: Tensor, *, seen: Tensor) -> Scorer:
        check_matrix(self, class_embeddings, "class embeddings", "(C, A)")
        if seen.shape != class_embeddings.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: {len(class_embeddings)} candidates and seen of shape {tuple(seen.shape)}; "
                "expected one boolean each"
            )
        return _GuardedScorer(self, bind(self, class_embeddings, seen=seen))

    return guarded


class _GuardedScorer:
    """A scorer whose scores are looked at; everything else it has is passed on."""

    def __init__(self, method: Compatibility, scorer: Scorer) -> None:
        self._method, self._scorer = method, scorer

    def __call__(self, features: Tensor) -> Tensor:
        scores = self._scorer(features)
        check_output(self._method, scores, {"features": features}, what="the scores")
        return scores

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_scorer"], name)
