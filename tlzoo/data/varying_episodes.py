"""Training episodes of varying way and shot, so that what is learned does not depend on one shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.errors import InputError
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["VariedSampler"]


class VariedSampler:
    """A sampler for each pair of a way and a shot; each step uses one of them, with equal probability.

    The episodes of a batch are stacked, so they have the same shape; only batches differ.

    Args:
        make: returns the sampler for a way and a shot.
        ways: number or numbers of classes per episode.
        shots: number or numbers of support examples per class.
        seed: the shape of a step only depends on (seed, step).

    Raises:
        ValueError: there is no way or shot, or too few classes have enough examples for one of the shapes.

    >>> import numpy as np
    >>> labels = np.repeat(np.arange(6), 8)
    >>> varied = VariedSampler(
    ...     lambda way, shot: EpisodeSampler(labels, way=way, shot=shot, query=1, seed=0),
    ...     ways=(2, 5), shots=(1, 3), seed=0,
    ... )
    >>> sorted({(varied.at(step).way, varied.at(step).shot) for step in range(50)})
    [(2, 1), (2, 3), (5, 1), (5, 3)]
    """

    def __init__(
        self,
        make: Callable[[int, int], EpisodeSampler],
        *,
        ways: int | Sequence[int],
        shots: int | Sequence[int],
        seed: int,
    ) -> None:
        shapes = list(itertools.product(_several(ways), _several(shots)))
        if not shapes:
            raise InputError(f"ways {ways} and shots {shots}; expected at least one of each")
        self.samplers, self.seed = [make(way, shot) for way, shot in shapes], seed

    def at(self, step: int) -> EpisodeSampler:
        """Return the sampler of one step."""
        if len(self.samplers) == 1:
            return self.samplers[0]
        random = numpy_generator(self.seed, Stream.EPISODE_SHAPES, step)
        return self.samplers[int(random.integers(len(self.samplers)))]


def _several(values: int | Sequence[int]) -> Sequence[int]:
    return (values,) if isinstance(values, int) else values
