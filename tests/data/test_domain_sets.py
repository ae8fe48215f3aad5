"""Sentiment, watch, and emoji tasks whose domains differ in their classes."""

import numpy as np
import pytest

from tlzoo.data import list_tasks, load_task
from tlzoo.data.datasets.watch import PAIRS, load_watch
from tlzoo.data.example_set import texts_of
from tlzoo.data.near_copies import are_copies

pytestmark = pytest.mark.data


def test_names():
    names = list_tasks("domain")
    assert sum(name.startswith("sentiment:") for name in names) == 12
    assert [name for name in names if name.startswith("watch:")] == [f"watch:{i}->{j}" for i, j in PAIRS]
    emoji = [name for name in names if name.startswith("emoji/")]
    assert sum(name.endswith(":open") for name in emoji) == sum(name.endswith(":partial") for name in emoji) == 84


def test_sentiment():
    task = load_task("sentiment:amazon->tweets")
    assert task.metric == "balanced_accuracy"
    assert task.class_names == ("negative", "positive")
    whole = len(task.target_train) + len(task.target_test)
    assert len(task.target_train) / whole == pytest.approx(0.7, abs=0.02)
    texts = task.target_test.inputs[np.arange(5)]
    assert all(isinstance(text, str) and len(text) > 3 for text in texts.tolist())
    assert {0, 1} == set(task.source_train.labels.tolist()) == set(task.target_test.labels.tolist())
    back = load_task("sentiment:tweets->amazon")
    np.testing.assert_array_equal(back.source_train.labels, task.target_train.labels)
    assert back.checksum != task.checksum


@pytest.mark.parametrize("name", ["sentiment:news->tweets", "sentiment:tweets->movies"])
def test_no_text_of_a_test_is_trained_on(name):
    task = load_task(name)
    tested = [*texts_of(task.source_test), *texts_of(task.target_test)]
    for examples in (task.source_train, task.target_train):
        assert not are_copies(texts_of(examples), tested).any()
    assert len(load_task("sentiment:news->tweets").target_train) == 2290  # of 2,402; 112 stand in the test, too


def test_snippets_of_a_document_stay_together():
    from tlzoo.data.datasets.sentiment import load_sentiment
    from tlzoo.data.splits import group_split

    examples, documents = load_sentiment("news")
    train, test = group_split(documents, 0.7)
    assert len(train) + len(test) == len(examples)
    assert not set(documents[train]) & set(documents[test])


def test_watch_shares_no_time_between_train_and_test():
    task = load_task("watch:1->2")
    assert task.source_train.inputs[np.arange(2)].shape == (2, 100, 6)
    assert task.source_train.inputs[np.arange(1)].dtype == np.float32
    assert task.num_classes == 7
    for examples in task.sets().values():
        assert set(examples.labels.tolist()) == set(range(7))

    def moments(examples):
        return {row.tobytes() for window in examples.inputs[np.arange(len(examples))] for row in window}

    assert not moments(task.target_train) & moments(task.target_test)
    watch = load_watch()
    own = sum(len(series) for series, person in zip(watch["series"], watch["people"], strict=True) if person == 2)
    assert len(moments(task.target_train)) + len(moments(task.target_test)) <= own


def test_partial():
    whole, task = (load_task(f"emoji/category:google->twitter{suffix}") for suffix in ("", ":partial"))
    assert task.class_names == whole.class_names
    assert len(task.source_train) == len(whole.source_train) == 1010
    assert set(task.target_train.labels.tolist()) == set(task.target_test.labels.tolist()) == set(range(4))
    assert len(task.target_test) == int((whole.target_test.labels < 4).sum())


def test_open():
    whole, task = (load_task(f"emoji/category:google->twitter{suffix}") for suffix in ("", ":open"))
    assert task.class_names == (*whole.class_names[:4], "unknown")
    assert task.unknown == 4
    assert set(task.source_train.labels.tolist()) == set(task.source_test.labels.tolist()) == set(range(4))
    assert len(task.target_test) == len(whole.target_test) == 425
    np.testing.assert_array_equal(task.target_test.labels, np.minimum(whole.target_test.labels, 4))
