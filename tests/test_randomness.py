"""Streams of a run's seed: none coincide, and nothing in the package draws from anywhere else."""

import ast
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import tlzoo
from tlzoo.data.episodes import EpisodeSampler
from tlzoo.data.samplers import BalancedSampler, BatchSampler
from tlzoo.randomness import Stream, derived_seed, numpy_generator, torch_generator

PACKAGE = Path(tlzoo.__file__).parent

ELSEWHERE = {
    "randomness.py": "the rule itself",
    "stats/": "resamples of existing results",
    "scoring/": "resamples of existing results",
    "bench/execution/one_cell.py": "seeds the global generators with the run's seed",
    "bench/protocols/": "seed the global generators with the run's seed; resamples and permutations of measurements",
    "bench/dependence.py": "the permutation of a measurement",
    "bench/audit.py": "noise in the place of test inputs, the same for all runs",
    "selection/validators.py": "the points that a score is measured on, the same for all runs",
    "selection/shift.py": "the halves of a measurement, by its own seed; a doctest",
    "data/splits.py": "fixed splits, a part of the protocol",
    "data/tasks/domain.py": "fixed shots, a part of the protocol",
    "data/datasets/": "fixed splits, a part of the protocol",
    "data/own/": "fixed splits of classes, a part of the protocol",
    "methods/adaptation/kliep.py": "fixed centers and folds, so that one pair of sets has one weighting",
    "methods/conformance/": "inputs of checks",
    "selection/health.py": "a doctest",
    "estimators/": "seed the global generators for the time of a fit, by random_state, and restore them; doctests",
    "lit/data/augmentation.py": "seeds the global generators by the rule, for transforms of others, and restores them",
    "methods/adapting.py": "seeds the global generator for the time of a call, and restores it",
}
"""Where seeds stand that are not a run's, and why."""


def keys():
    """Return keys of all lengths up to four, with zeros at every end."""
    return [key for length in range(5) for key in itertools.product((0, 1, 7), repeat=length)]


def test_no_two_streams_keys_or_seeds_coincide():
    drawn = {
        tuple(numpy_generator(seed, stream, *key).integers(2**63, size=4).tolist())
        for seed in (0, 1, 2**40)
        for stream in Stream
        for key in keys()
    }
    assert len(drawn) == 3 * len(Stream) * len(keys())
    seeds = {derived_seed(seed, stream, *key) for seed in (0, 1, 2**40) for stream in Stream for key in keys()}
    assert len(seeds) == len(drawn)


def test_names_are_keys():
    drawn = {numpy_generator(0, Stream.SEARCH, *key).random() for key in (("a", "b"), ("ab",), ("a",), ("b", "a"), ())}
    assert len(drawn) == 5


def test_the_same_place_gives_the_same_numbers():
    one, other = (torch.randn(5, generator=torch_generator(3, Stream.METHOD_STEPS, 4)) for _ in range(2))
    assert torch.equal(one, other)
    assert numpy_generator(3, Stream.VIEWS, 4).random() == numpy_generator(3, Stream.VIEWS, 4).random()


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_named(seed):
    with pytest.raises(ValueError, match=f"seed {seed}; expected a whole number from 0"):
        numpy_generator(seed, Stream.BATCHES)


@pytest.mark.parametrize("part", [-1, 2**32])
def test_keys_out_of_range_are_named(part):
    with pytest.raises(ValueError, match=f"key {part} of a random stream"):
        torch_generator(0, Stream.BATCHES, part)


def test_passes_of_all_samplers_differ():
    size = 60
    samplers = [BatchSampler(size, size, seed=seed, stream=stream) for seed in (0, 7) for stream in list(Stream)[:4]]
    parts = BalancedSampler(np.repeat(np.arange(8), size), 8 * size, seed=0, stream=Stream.SOURCE_BATCHES)
    passes = [tuple(sampler(number)) for sampler in samplers for number in range(10)]
    passes += [tuple(row - row.min()) for number in range(10) for row in parts(number).reshape(8, size)]
    assert len(set(passes)) == len(passes) == 8 * 10 + 8 * 10


def test_training_and_evaluation_episodes_of_one_seed_differ():
    labels = np.repeat(np.arange(20), 20)
    streams = (Stream.EPISODES, Stream.EVALUATION_EPISODES)
    one, other = (
        EpisodeSampler(labels, way=5, shot=1, query=1, seed=0, stream=stream).stack(0, 200) for stream in streams
    )
    assert not {tuple(row) for row in one.support} & {tuple(row) for row in other.support}


def test_no_generator_is_made_elsewhere():
    """A method, sampler or module that makes a generator of its own would not follow the run's seed."""
    made = {"default_rng", "RandomState", "SeedSequence", "manual_seed", "Generator"}
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        drawn = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)} & made
        if drawn and not any(name == place or (place[-1] == "/" and name.startswith(place)) for place in ELSEWHERE):
            found[name] = drawn
    assert not found, "draw from tlzoo.randomness (a method: from tlzoo.nn.random_stream), or say above why not"
