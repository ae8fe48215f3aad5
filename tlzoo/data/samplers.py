"""Batches that depend only on seed and step, so a run can resume at any step with any number of workers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["BalancedSampler", "BatchSampler"]


class BatchSampler:
    """Shuffled batches without replacement; the incomplete last batch of each pass is dropped.

    Args:
        size: examples in the set.
        batch_size: examples per batch; a smaller set gives batches of the whole set.
        seed: seed of the run; the order depends only on seed, stream, key and pass.
        stream: distinguishes the samplers of one run.
        key: distinguishes samplers of one stream.

    >>> sampler = BatchSampler(10, 4, seed=0)
    >>> bool((sampler(7) == BatchSampler(10, 4, seed=0)(7)).all())
    True
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int, stream: Stream = Stream.BATCHES, key: tuple[int, ...] = ()
    ) -> None:
        if size < 1 or batch_size < 1:
            raise InputError(f"{size} examples in batches of {batch_size}; expected at least one of each")
        self.size, self.batch_size = size, min(batch_size, size)
        self.seed, self.stream, self.key = seed, stream, key
        self._pass, self._order = -1, np.empty(0, dtype=np.int64)

    @property
    def steps_per_pass(self) -> int:
        """The number of batches until every example, except the dropped rest, has been seen once."""
        return self.size // self.batch_size

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Return the (batch_size,) indices of batch ``step``, counted from the start of training."""
        number, place = divmod(step, self.steps_per_pass)
        if number != self._pass:
            self._order = numpy_generator(self.seed, self.stream, *self.key, number).permutation(self.size)
            self._pass = number
        return self._order[place * self.batch_size : (place + 1) * self.batch_size]


class BalancedSampler:
    """Batches with the same number of examples from each group, by one :class:`BatchSampler` per group.

    Args:
        groups: (N,) group of each example.
        batch_size: examples per batch; the first groups get one more if the groups do not divide it.
        seed: see :class:`BatchSampler`.
        stream: see :class:`BatchSampler`.

    >>> sampler = BalancedSampler(np.array([0, 0, 0, 0, 0, 1, 1]), 4, seed=0)
    >>> [int((sampler(step) < 5).sum()) for step in range(3)]
    [2, 2, 2]
    """

    def __init__(
        self, groups: NDArray[np.int64], batch_size: int, *, seed: int, stream: Stream = Stream.BATCHES
    ) -> None:
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        if batch_size < len(members):
            raise InputError(
                f"batches of {batch_size} for {len(members)} groups; expected at least one example of each"
            )
        shares = [len(part) for part in np.array_split(np.arange(batch_size), len(members))]
        self._parts = [
            (own, BatchSampler(len(own), share, seed=seed, stream=stream, key=(place,)))
            for place, (own, share) in enumerate(zip(members, shares, strict=True))
        ]

    @property
    def steps_per_pass(self) -> int:
        """The number of batches until every example of the smallest group has been seen once."""
        return min(sampler.steps_per_pass for _, sampler in self._parts)

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Return the (batch_size,) indices of batch ``step``, group by group."""
        return np.concatenate([own[sampler(step)] for own, sampler in self._parts])
