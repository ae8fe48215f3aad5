import numpy as np
import pytest

from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import EpisodeTask


def task(**changes):
    whole = ExampleSet(
        inputs=np.zeros((12, 2), np.float32),
        modality="features",
        labels=np.repeat(np.arange(3), 4),
        attributes={"kind": np.zeros(12)},
    )
    return EpisodeTask(name="toy", base=whole, validation=whole, novel=whole, way=3, query=1, **changes)


def listed(**changes):
    parts = {
        "support": np.array([[0, 4, 8], [1, 5, 9]]),
        "support_labels": np.array([[0, 1, 2]] * 2),
        "query": np.array([[2, 6], [3, 7]]),
        "query_labels": np.array([[0, 1]] * 2),
    }
    return EpisodeList(episodes=EpisodeIndices(**{**parts, **changes}), way=3, shot=1, query=1)


def test_listed_episodes_are_part_of_the_identity():
    other = listed(query=np.array([[2, 6], [3, 10]]))
    checksums = {task().checksum, task(listed=listed()).checksum, task(listed=other).checksum}
    assert len(checksums) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"support_labels": np.array([[0, 1, 2], [0, 1, 1]])}, "episode 1: class 2 of 3 has no support"),
        ({"query": np.array([[2, 6], [3, 5]])}, "episode 1: item 5 is both support and query"),
        ({"query": np.array([[12, 6], [3, 7]])}, "episode 0: items from 0 to 12, where novel has 12"),
        ({"query": np.empty((2, 0), np.int64)}, "episode 0: there is no query"),
    ],
)
def test_listed_episodes_that_cannot_be_answered_are_named(changes, message):
    with pytest.raises(ValueError, match=f"toy: listed {message}"):
        task(listed=listed(**changes))


def test_what_episodes_share_must_be_there():
    assert task(within="kind").within == "kind"
    with pytest.raises(
        ValueError, match="toy: no attribute 'script', which episodes share, in base, validation, novel"
    ):
        task(within="script")
