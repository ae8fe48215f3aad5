import numpy as np
import pytest

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.data.varying_episodes import VariedSampler

LABELS = np.repeat(np.arange(6), 8)


def varied(seed=0, **changes):
    return VariedSampler(
        lambda way, shot: EpisodeSampler(LABELS, way=way, shot=shot, query=1, seed=seed),
        **{"ways": (2, 5), "shots": 2, "seed": seed, **changes},
    )


def test_shapes_depend_on_seed_and_step_alone():
    ways = [varied().at(step).way for step in range(40)]
    again = varied()
    again.at(39)
    assert [again.at(step).way for step in range(40)] == ways
    assert [varied(seed=1).at(step).way for step in range(40)] != ways
    assert 10 < ways.count(5) < 30


def test_one_shape_is_the_plain_sampler():
    assert {varied(ways=3).at(step).way for step in range(10)} == {3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": ()}, r"ways \(\) and shots 2; expected at least one of each"),
        ({"ways": (2, 7)}, "7-way episodes need 7"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        varied(**changes)
