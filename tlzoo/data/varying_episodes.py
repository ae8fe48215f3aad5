"""Episodes of varying way and shot, for training: what is learned should not hang on one shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["VariedSampler"]


class VariedSampler:
    """A sampler for each pair of a way and a shot; each step draws one of them, all equally likely.

    The episodes of a batch are stacked, so they have one shape: batches differ, not the episodes in them.

    Args:
        make: the sampler of a way and a shot.
        ways: classes an episode, one number or several.
        shots: support examples a class, one number or several.
        seed: the shape of a step depends on (seed, step) alone.

    Raises:
        ValueError: no way or no shot; or ``make`` finds too few classes with enough examples for one of the shapes.

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
            raise ValueError(f"ways {ways} and shots {shots}; expected at least one of each")
        self.samplers, self.seed = [make(way, shot) for way, shot in shapes], seed

    def at(self, step: int) -> EpisodeSampler:
        """Return the sampler that gives the batch of one step."""
        if len(self.samplers) == 1:
            return self.samplers[0]
        random = numpy_generator(self.seed, Stream.EPISODE_SHAPES, step)
        return self.samplers[int(random.integers(len(self.samplers)))]


def _several(values: int | Sequence[int]) -> Sequence[int]:
    return (values,) if isinstance(values, int) else values
