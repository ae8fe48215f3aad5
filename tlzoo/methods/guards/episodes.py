"""Guards of methods that answer episodes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from tlzoo.methods.checks import check_filled, check_matrix, check_output

if TYPE_CHECKING:
    from tlzoo.methods.base import EpisodeClassifier

__all__ = ["guard_base_set", "guard_episodes"]


def guard_episodes(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check the shapes of episodes, then the logits."""

    @functools.wraps(forward)
    def guarded(self: EpisodeClassifier, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        fits = support.ndim == query.ndim == 3 and support_labels.shape == support.shape[:2]
        if not fits or len(support) != len(query) or support.shape[2] != query.shape[2]:
            raise ValueError(
                f"{type(self).__name__}: support, support_labels and query have shapes {tuple(support.shape)}, "
                f"{tuple(support_labels.shape)} and {tuple(query.shape)}; expected (E, S, D), (E, S) and (E, Q, D)"
            )
        check_filled(self, support=support, query=query)
        logits = forward(self, support, support_labels, query, way=way)
        check_output(self, logits, {"support": support, "query": query}, what="the logits", unit="episode")
        return logits

    return guarded


def guard_base_set(fit_base: Callable[..., None]) -> Callable[..., None]:
    """Check the features of a base set."""

    @functools.wraps(fit_base)
    def guarded(self: EpisodeClassifier, features: Tensor, labels: Tensor | None) -> None:
        check_matrix(self, features, "base features", "(N, D)")
        fit_base(self, features, labels)

    return guarded
