import pytest

from tlzoo import load_task

pytestmark = pytest.mark.data


def test_whole_subcategories_are_split():
    task = load_task("emoji-oneshot-hard")
    found = {name: set(part.attributes["subcategory"].tolist()) for name, part in task.sets().items()}
    assert {name: len(names) for name, names in found.items()} == {"base": 31, "validation": 11, "novel": 10}
    assert len(set.union(*found.values())) == 52
    assert sum(len(part) for part in task.sets().values()) == 1181 * 7
    assert task.way == 10


def test_an_episode_is_of_one_subcategory_and_its_queries_of_other_vendors():
    task = load_task("emoji-oneshot-hard")
    episodes = task.episodes(seed=0).stack(0, 100)
    subcategories = task.novel.attributes["subcategory"][episodes.support]
    assert (subcategories == subcategories[:, :1]).all()
    assert len(set(subcategories[:, 0].tolist())) == 10
    first = episodes.query_labels[0] == 0
    vendors = task.novel.domains
    assert sorted([*vendors[episodes.query[0][first]], vendors[episodes.support[0, 0]]]) == list(range(7))


def test_what_episodes_share_is_part_of_the_identity():
    hard, easy = load_task("emoji-oneshot-hard"), load_task("emoji-oneshot")
    assert hard.checksum != easy.checksum
    assert hard.within == "subcategory"
    assert easy.within is None
