"""Named streams of a run's seed, the source of all randomness in methods and samplers.

A generator depends on (seed, stream, key): the run's seed, who draws, and which draw it is (a pass, a step, an item).
Keys of different lengths never coincide: ``(7,)`` and ``(7, 0)`` are different draws. Fixed data splits belong to a
protocol instead of a run and have their own seeds.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum, unique
from typing import TYPE_CHECKING

import numpy as np

from tlzoo.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["Stream", "derived_seed", "numpy_generator", "torch_generator"]


@unique
class Stream(IntEnum):
    """The streams; a number is never used twice, nor reused for another stream later."""

    BATCHES = 0
    """Order of a training set without sides; key: (pass)."""
    SOURCE_BATCHES = 1
    """Order of the source; key: (pass), of several domains (domain, pass)."""
    TARGET_BATCHES = 2
    """Order of the target; key: (pass)."""
    SHOT_BATCHES = 3
    """Order of labeled target examples; key: (pass)."""
    TARGET_SHOTS = 4
    """Which target examples are labeled; no key."""
    TEST_ORDER = 5
    """Order in which test data reach a method that adapts on the way; no key."""
    EPISODES = 6
    """Training episodes; key: (block)."""
    EVALUATION_EPISODES = 7
    """Fixed lists of validation and test episodes; key: (block)."""
    EPISODE_SHAPES = 8
    """Way and shot of a step; key: (step)."""
    VIEWS = 9
    """Views of an item drawn in a step; key: (step, item, view)."""
    VIEW_CHOICE = 10
    """Which stored view of an item a step shows; key: (step, view)."""
    STORED_VIEWS = 11
    """Views that are stored for all seeds; key: (view, copy, item)."""
    METHOD_STEPS = 12
    """Steps of a method; key: (step)."""
    METHOD_CONSTANT = 13
    """What a method draws once; no key."""
    SEARCH = 14
    """Random search; key: (method, parameter, trial)."""
    TPE = 15
    """Search by tree-structured Parzen estimators; key: (method)."""
    CORRUPTIONS = 16
    """Corruption of a test picture; key: (corruption, item)."""
    TARGET_START = 17
    """Order in which the target reaches a source-free method before training; no key."""
    SOURCE_DRAW = 18
    """Which source examples a run trains on; no key."""
    TARGET_INDICES = 19
    """Indices by which methods know target training examples; no key."""
    AUGMENTATION = 20
    """Changes of the training pictures of a step; key: (step, side)."""
    DESCRIPTIONS = 21
    """Random descriptions of classes; no key."""
    HELD_OUT = 22
    """Which source training examples a method validates itself on; key: (domain)."""
    PRICES = 23
    """What stands for data and rows where a suite is priced; key: (what)."""


_SEEDS = 2**64
_WORD = 2**32


def numpy_generator(seed: int, stream: Stream, *key: int | str) -> np.random.Generator:
    """Return the NumPy generator of one draw.

    Args:
        seed: seed of the run, from 0 to 2**64 - 1.
        stream: the stream.
        key: identifies the draw: integers from 0 to 2**32 - 1, or names.

    Raises:
        ValueError: a number is out of range.

    >>> one, other = numpy_generator(0, Stream.BATCHES, 7), numpy_generator(0, Stream.BATCHES, 7, 0)
    >>> bool(one.random() == other.random())
    False
    """
    return np.random.default_rng(_sequence(seed, stream, key))


def torch_generator(seed: int, stream: Stream, *key: int | str) -> torch.Generator:
    """Return the torch generator (on the CPU) of one draw; see :func:`numpy_generator`.

    torch uses 32 bits of a CPU generator's seed, so two of N draws coincide with probability N**2 / 2**33.
    """
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, stream, *key))


def derived_seed(seed: int, stream: Stream, *key: int | str) -> int:
    """Return a seed below 2**32 for a library with its own generator; see :func:`numpy_generator`."""
    return int(_sequence(seed, stream, key).generate_state(1)[0])


def _sequence(seed: int, stream: Stream, key: tuple[int | str, ...]) -> np.random.SeedSequence:
    if not 0 <= seed < _SEEDS:
        raise InputError(f"seed {seed}; expected a whole number from 0 to 2**64 - 1")
    words = [word for part in key for word in _words(part)]
    return np.random.SeedSequence(int(seed), spawn_key=(int(stream), *words))


def _words(part: int | str) -> list[int]:
    """Return a number unchanged, and a name as four words of its hash."""
    if isinstance(part, str):
        digest = hashlib.blake2b(part.encode(), digest_size=16).digest()
        return [int(word) for word in np.frombuffer(digest, dtype="<u4")]
    if not 0 <= part < _WORD:
        raise InputError(f"key {part} of a random stream; expected a whole number from 0 to 2**32 - 1")
    return [int(part)]
