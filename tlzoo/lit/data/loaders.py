"""Loaders whose batches depend only on a number: the training step, or the position in an evaluation pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.utilities.combined_loader import CombinedLoader

__all__ = ["NoLoaders", "Passes", "StepLoader", "without_leaf_warning"]

Batch = TypeVar("Batch")


class StepLoader(Generic[Batch]):
    """An endless stream of batches, cut into epochs; each batch depends only on its step.

    The loader is stateful: Lightning stores the next step in the checkpoint, so a run resumes in the middle of an epoch
    with the batch that would have come next.

    Args:
        batch_at: returns the batch of a step, counted from the start of training.
        steps: number of steps per epoch.
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
        """Continue from a stored step."""
        self.next = state["next"]


class Passes(Generic[Batch]):
    """One ordered pass over a set, for evaluation and for closed forms; a resumed pass goes on where it stopped.

    Args:
        batch_of: returns the batch at some positions of the set.
        size: number of positions in the pass.
        batch_size: number of positions per batch; the last batch may be smaller.
        first: first position, for the part of one process among several.
    """

    def __init__(
        self, batch_of: Callable[[NDArray[np.int64]], Batch], size: int, batch_size: int, *, first: int = 0
    ) -> None:
        self.batch_of, self.size, self.batch_size, self.first = batch_of, size, batch_size, first
        self._first_batch = self._next = 0

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        start, self._first_batch = self._first_batch, 0
        for number in range(start, len(self)):
            self._next = (number + 1) % len(self)
            begin = number * self.batch_size
            yield self.batch_of(self.first + np.arange(begin, min(begin + self.batch_size, self.size)))

    def state_dict(self) -> dict[str, int]:
        """Return the number of the next batch."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass begin at a stored batch."""
        self._first_batch = self._next = state["next"]


class NoLoaders(CombinedLoader):
    """Nothing to evaluate on: Lightning skips the evaluation, where it would warn of an empty list."""

    def __init__(self) -> None:
        with without_leaf_warning():
            super().__init__([], "sequential")

    @property
    def flattened(self) -> list[Any]:
        """No loader."""
        return []

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None: ...


@contextmanager
def without_leaf_warning() -> Iterator[None]:
    """Silence what only Lightning can change: its 2.6 uses a name that torch 2.14 deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated", FutureWarning)
        yield
