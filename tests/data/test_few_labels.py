import numpy as np
import pytest

from tlzoo.data import load_task, register_task
from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.few_labels import DRAWS, few_labels, few_of, names_of
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import EpisodeData


def examples(count, *, classes=3, seed=0, labels=None):
    inputs = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)
    return ExampleSet(
        inputs=inputs, modality="features", labels=np.arange(count) % classes if labels is None else labels
    )


def domain_task(**changes):
    sets = {"source_train": examples(9), "source_test": examples(6), "target_train": examples(30, seed=1)}
    return DomainTask(
        **{"name": "mine", "class_names": ("a", "b", "c"), "target_test": examples(13, seed=2), **sets, **changes}
    )


def test_every_episode_asks_the_whole_test_in_its_order():
    task = few_of("mine:few", domain_task())
    support, labels, query, answers = task.listed.episodes
    assert support.shape == (DRAWS, 30)
    np.testing.assert_array_equal(query, np.tile(30 + np.arange(13), (DRAWS, 1)))
    np.testing.assert_array_equal(answers[0], task.novel.labels[query[0]])
    np.testing.assert_array_equal(task.novel.labels[support], labels)
    assert len({tuple(row) for row in support.tolist()}) == DRAWS


def test_fewer_shots_are_the_first_of_more_and_those_of_the_domain_task():
    task, domain = few_of("mine:few", domain_task()), domain_task()
    two = task.listed.with_shot(2)
    assert two.episodes.support.shape == (DRAWS, 6)
    for draw in range(DRAWS):
        few = domain.with_target_shots(2, seed=draw).target_train
        shown = task.novel.inputs[two.episodes.support[draw]]
        assert {row.tobytes() for row in shown} == {row.tobytes() for row in few.inputs[np.arange(6)]}
        assert set(two.episodes.support[draw]) <= set(task.listed.with_shot(3).episodes.support[draw])


def test_unlabelled_examples_are_neither_drawn_nor_asked():
    pool, test = np.arange(30) % 3, np.arange(13) % 3
    pool[:9], test[:4] = -1, -1
    task = few_labels(
        "few",
        examples(30, labels=pool),
        examples(13, labels=test),
        class_names=("a", "b", "c"),
        base=examples(3),
    )
    assert task.shot == 7
    assert len(task.novel) == 21 + 9
    np.testing.assert_array_equal(task.listed.episodes.query[0], 21 + np.arange(9))


def test_the_harness_takes_as_many_shots_as_it_is_asked_for():
    task = few_of("mine:few", domain_task())
    assert EpisodeData(task, shot=4).episode_list().shot == 4
    assert EpisodeData(task).episode_list().shot == 10
    with pytest.raises(ValueError, match="shot 10 or fewer"):
        EpisodeData(task, shot=11)


@pytest.mark.parametrize("shot", [0, 3])
def test_more_shots_than_there_are_cannot_be_taken(shot):
    episodes = EpisodeIndices(np.arange(4)[None], np.array([[0, 0, 1, 1]]), np.array([[4]]), np.array([[0]]))
    with pytest.raises(ValueError, match="expected 1 to 2"):
        EpisodeList(episodes=episodes, way=2, shot=2, query=1).with_shot(shot)


def test_tasks_without_labels_to_draw_are_refused():
    with pytest.raises(ValueError, match="no labelled example of 'c'"):
        few_of("mine:few", domain_task(target_train=examples(8, classes=2)))
    unlabelled = ExampleSet(inputs=np.zeros((4, 5), dtype=np.float32), modality="features")
    with pytest.raises(ValueError, match="the pool has no labels"):
        few_of("mine:few", domain_task(target_train=unlabelled))
    with pytest.raises(ValueError, match="without labelled examples beside its test"):
        few_of("glyphs:few", few_of("mine:few", domain_task()))
    with pytest.raises(ValueError, match="no domain task of texts"):
        names_of("mine:names", domain_task())


def test_own_tasks_have_few_labels_by_name():
    register_task("mine-of-few", domain_task())
    assert load_task("mine-of-few:few", kind="episode").way == 3


def test_the_views_of_a_draw_share_one_test_that_nothing_else_shows():
    domain = load_task("emoji/subcategory:google->windows:draw0", kind="domain")
    few = load_task("emoji/subcategory:windows:draw0:few", kind="episode")
    names = load_task("emoji/subcategory:windows:draw0:names", kind="zeroshot")
    second = load_task("emoji/subcategory:google->windows:draw0:second", kind="multitask")
    tested = domain.target_test.attributes["concept"]
    queries = few.novel.subset(few.listed.episodes.query[0])
    for test in (queries, names.test, second.test):
        np.testing.assert_array_equal(test.attributes["concept"], tested)
        assert set(test.inputs.base[1] % 7) == set(domain.target_test.inputs.base[1] % 7)
    np.testing.assert_array_equal(few.listed.episodes.query_labels[0], domain.target_test.labels)
    np.testing.assert_array_equal(names.places(names.test.labels, names.unseen), domain.target_test.labels)
    np.testing.assert_array_equal(second.test.targets["class"], domain.target_test.labels)
    supports = few.novel.subset(few.listed.episodes.support.ravel())
    shown = (domain.source_train, domain.target_train, supports, few.base, names.train, names.validation, second.train)
    assert not any(set(tested) & set(each.attributes["concept"]) for each in shown)
    assert not set(domain.source_train.attributes["concept"]) & set(domain.target_train.attributes["concept"])


def test_development_classes_are_in_no_draw():
    known = set(load_task("emoji/subcategory:google->windows:drawdev").class_names)
    for draw in range(3):
        own = load_task(f"emoji/subcategory:google->windows:draw{draw}").class_names
        assert len(own) == 20
        assert not known & set(own)


def test_concepts_are_asked_in_the_style_that_no_labelled_example_has():
    few = load_task("emoji/concept:apple:draw1:few", kind="episode")
    names = load_task("emoji/concept:apple:draw1:names", kind="zeroshot")
    assert (few.way, few.shot) == (100, 6)
    np.testing.assert_array_equal(
        few.novel.subset(few.listed.episodes.query[0]).attributes["concept"], names.test.attributes["concept"]
    )
    styles = few.novel.inputs.base[1] % 7
    assert set(styles[few.listed.episodes.query[0]]) == {0}
    assert 0 not in styles[few.listed.episodes.support.ravel()]
    assert not set(few.base.attributes["concept"]) & set(names.test.attributes["concept"])
