"""The interface of scores."""

from __future__ import annotations

from typing import Any

from torchmetrics import Metric

__all__ = ["Scores"]


class Scores(Metric):
    """Base: :meth:`update` with answers and labels, then :meth:`compute` for scores by name.

    It is a torchmetrics metric, so answers may come in batches and from several processes. Scores are computed in
    float64 from counts, so they do not depend on how a set is split into batches.

    Attributes:
        headline: name of the main score; higher is better, and 1 is the best.
    """

    full_state_update = False
    headline: str = "accuracy"

    def of(self, *answers: Any, **further: Any) -> dict[str, float]:
        """Return the scores of these answers only."""
        self.reset()
        self.update(*answers, **further)
        found: dict[str, float] = self.compute()
        return found
