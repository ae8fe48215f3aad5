import numpy as np
import pytest

from tlzoo import load_task
from tlzoo.data.datasets.reuters import R8

pytestmark = pytest.mark.data


def test_newsgroups_are_split_by_branch():
    task = load_task("newsgroups-fewshot")
    branches = {
        name: {task.class_names[label].split(".")[0] for label in part.labels.tolist()}
        for name, part in task.sets().items()
    }
    assert branches == {
        "base": {"rec", "sci"},
        "validation": {"comp"},
        "novel": {"alt", "misc", "soc", "talk"},
    }
    assert {name: len(np.unique(part.labels)) for name, part in task.sets().items()} == {
        "base": 8,
        "validation": 5,
        "novel": 7,
    }
    assert [len(part) for part in task.sets().values()] == [8 * 200, 5 * 200, 7 * 200]


def test_the_topics_of_r8_are_novel():
    task = load_task("reuters-r8-fewshot")
    assert [task.class_names[label] for label in np.unique(task.novel.labels)] == list(R8)
    assert [len(np.unique(part.labels)) for part in task.sets().values()] == [33, 11, 8]
    assert not {task.class_names[label] for label in task.base.labels.tolist()} & set(R8)


@pytest.mark.parametrize("name", ["newsgroups-fewshot", "reuters-r8-fewshot"])
def test_no_document_stands_twice_and_five_shots_fit(name):
    task = load_task(name)
    every = np.concatenate([part.inputs[np.arange(len(part))] for part in task.sets().values()])
    assert len(set(every.tolist())) == len(every)
    assert max(map(len, every.tolist())) == 600
    for split in ("base", "validation", "novel"):
        episode = task.episodes(split, seed=0, shot=5)(0)
        assert (len(episode.support), len(episode.query)) == (25, 50)
