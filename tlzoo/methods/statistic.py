"""Alignments that minimize a statistic of source and target."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.types import Context, Losses, Prediction

__all__ = ["Statistic"]


class Statistic(WeightedAlignment):
    """Minimizes a statistic of source and target, such as a distance between domains or a property of predictions.

    A method implements :meth:`statistic`.

    Args:
        num_features: D.
        num_classes: C.
        weight: trade-off of the term.

    Attributes:
        logged: name of the statistic in logs.
    """

    implements: ClassVar[str] = "statistic(source, target)"
    logged: ClassVar[str] = "statistic"

    @final
    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted statistic as the loss, and the statistic itself."""
        value = self.statistic(source, target)
        return {"loss": self.weight * value, self.logged: value.detach()}

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the scalar to minimize."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")
