"""Loaders whose batches are functions of a number: the step in training, the place in a pass in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Passes", "StepLoader"]

Batch = TypeVar("Batch")


class StepLoader(Generic[Batch]):
    """An endless stream of batches, cut into epochs; each batch is a function of the step it is for.

    It is a stateful loader: Lightning stores the next step in the checkpoint, so a run goes on in the middle of an
    epoch with the batch that would have come.

    Args:
        batch_at: the batch of a step, counted from the start of training.
        steps: steps an epoch.
    """

    def __init__(self, batch_at: Callable[[int], Batch], steps: int) -> None:
        self.batch_at, self.steps, self.next = batch_at, steps, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        end = (self.next // self.steps + 1) * self.steps
        while self.next < end:
            step = self.next
            self.next += 1
            yield self.batch_at(step)

    def state_dict(self) -> dict[str, int]:
        """Return the next step."""
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a stored step."""
        self.next = state["next"]


class Passes(Generic[Batch]):
    """One pass over a set, in order: for evaluation.

    Args:
        batch_of: the batch of some places in the set.
        size: places of the pass.
        batch_size: places a batch, fewer in the last.
        first: where it begins, for the part of one process among several.
    """

    def __init__(
        self, batch_of: Callable[[NDArray[np.int64]], Batch], size: int, batch_size: int, *, first: int = 0
    ) -> None:
        self.batch_of, self.size, self.batch_size, self.first = batch_of, size, batch_size, first

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for begin in range(0, self.size, self.batch_size):
            yield self.batch_of(self.first + np.arange(begin, min(begin + self.batch_size, self.size)))
