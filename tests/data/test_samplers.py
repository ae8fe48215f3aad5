import numpy as np
import pytest

from tlzoo.data.samplers import BatchSampler
from tlzoo.randomness import Stream, numpy_generator


def test_a_run_goes_on_from_any_step():
    whole = BatchSampler(25, 4, seed=3)
    batches = [whole(step) for step in range(20)]
    for first in (0, 1, 7, 19):
        later = BatchSampler(25, 4, seed=3)
        for step in range(first, 20):
            np.testing.assert_array_equal(later(step), batches[step])
    np.testing.assert_array_equal(whole(2), batches[2])  # and backwards


def test_one_pass_covers_each_example_once_but_for_the_rest():
    sampler = BatchSampler(25, 4, seed=0)
    assert sampler.steps_per_pass == 6
    seen = np.concatenate([sampler(step) for step in range(6)])
    assert len(np.unique(seen)) == len(seen) == 24
    full = np.concatenate([BatchSampler(24, 4, seed=0)(step) for step in range(6)])
    assert sorted(full) == list(range(24))


def test_passes_differ():
    sampler = BatchSampler(24, 24, seed=0)
    assert not np.array_equal(sampler(0), sampler(1))


def test_streams_and_seeds_are_independent():
    def batches(**settings):
        sampler = BatchSampler(1000, 50, **settings)
        return np.stack([sampler(step) for step in range(20)])

    first, second = batches(seed=0, stream=Stream.SOURCE_BATCHES), batches(seed=0, stream=Stream.TARGET_BATCHES)
    assert np.mean(first == second) < 0.01
    assert np.mean(first == batches(seed=1, stream=Stream.SOURCE_BATCHES)) < 0.01
    other = BatchSampler(7, 2, seed=0, stream=Stream.TARGET_BATCHES)
    mixed = BatchSampler(1000, 50, seed=0, stream=Stream.SOURCE_BATCHES)
    for step in range(20):
        other(step)
        np.testing.assert_array_equal(mixed(step), first[step])


def test_no_global_random_state_is_used():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    BatchSampler(10, 2, seed=0)(3)
    numpy_generator(0, Stream.BATCHES).random()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_small_set_gives_batches_of_its_size():
    assert sorted(BatchSampler(3, 8, seed=0)(5)) == [0, 1, 2]


@pytest.mark.parametrize(("size", "batch_size"), [(0, 4), (4, 0)])
def test_nothing_to_draw_is_an_error(size, batch_size):
    with pytest.raises(ValueError, match="at least one of each"):
        BatchSampler(size, batch_size, seed=0)
