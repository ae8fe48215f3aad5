"""The contract of scores."""

from __future__ import annotations

from typing import Any

from torchmetrics import Metric

__all__ = ["Scores"]


class Scores(Metric):
    """Base: :meth:`update` with answers and labels, then :meth:`compute` for figures by name.

    It is a metric of torchmetrics: answers come batch by batch, and from several processes. Figures are computed in
    float64 from counts, so that they do not depend on how a set was cut into batches.

    Attributes:
        headline: name of the figure that stands for all of them; higher is better, 1 the best.
    """

    full_state_update = False
    headline: str = "accuracy"

    def of(self, *answers: Any, **further: Any) -> dict[str, float]:
        """Return the figures of these answers alone."""
        self.reset()
        self.update(*answers, **further)
        found: dict[str, float] = self.compute()
        return found
