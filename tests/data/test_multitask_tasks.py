import numpy as np
import pytest

from tlzoo.data import load_task
from tlzoo.data.datasets.emoji import VENDORS
from tlzoo.data.datasets.people import gender, motif
from tlzoo.data.datasets.topics import SENTIMENTS, TOPICS, read_tweets, without_keywords
from tlzoo.data.example_set import texts_of
from tlzoo.data.near_copies import are_copies

pytestmark = pytest.mark.data


def sizes(task):
    return {name: len(examples) for name, examples in task.sets().items()}


def groups(task, key):
    return [set(examples.attributes[key].tolist()) for examples in task.sets().values()]


def test_emoji_tasks():
    task = load_task("emoji-tasks")
    assert {name: target.classes for name, target in task.targets.items()} == {
        "category": 8, "subcategory": 49, "vendor": 7,
    }  # fmt: skip
    assert sum(sizes(task).values()) == 1435 * 7
    concepts = groups(task, "concept")
    assert len(set.union(*concepts)) == sum(map(len, concepts)) == 1435
    for examples in task.sets().values():
        np.testing.assert_array_equal(np.bincount(examples.targets["vendor"]), len(examples) // 7)
        assert examples.labels is None
    everywhere = np.concatenate([examples.targets["subcategory"] for examples in task.sets().values()])
    assert int((everywhere >= 0).sum()) == 1121 * 7
    assert set(everywhere.tolist()) == set(range(-1, 49))


def test_emoji_tasks_split_whole_groups():
    from tlzoo.data.datasets.emoji import load_emoji

    table = load_emoji()
    parts = [set(table.groups[sorted(concepts)].tolist()) for concepts in groups(load_task("emoji-tasks"), "concept")]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 1054


def test_people():
    task = load_task("people")
    assert {name: target.classes for name, target in task.targets.items()} == {"tone": 5, "gender": 3}
    assert sum(sizes(task).values()) == 1265 * len(VENDORS)
    assert sizes(task) == {"train": 6160, "validation": 1330, "test": 1365}
    motifs = groups(task, "group")
    assert len(set.union(*motifs)) == sum(map(len, motifs))
    for examples in task.sets().values():
        np.testing.assert_array_equal(np.bincount(examples.targets["tone"]), len(examples) // 5)
        assert examples.inputs[np.arange(2)].shape == (2, 72, 72, 3)
        assert set(examples.targets["gender"].tolist()) == {0, 1, 2}


def test_people_differ_in_tone_alone_within_a_motif():
    task = load_task("people")
    train = task.train
    first = np.flatnonzero(train.attributes["group"] == train.attributes["group"][0])
    assert len(set(train.targets["tone"][first].tolist())) == 5
    dark, light = (train.inputs[first[train.targets["tone"][first] == tone][:7]].astype(float) for tone in (4, 0))
    assert dark.mean() < light.mean()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1F467-1F3FB", "woman"),
        ("1F934-1F3FF", "man"),
        ("1F9D1-1F3FD-200D-1F52C", "unspecified"),
        ("1F3C3-1F3FE-200D-2640-FE0F", "woman"),
    ],
)
def test_gender(code, expected):
    assert gender(code) == expected
    assert not any(point.startswith("1F3F") for point in motif(code).split("-"))


def test_topics():
    task = load_task("topics")
    assert {name: target.classes for name, target in task.targets.items()} == {
        "sentiment": len(SENTIMENTS), "topic": len(TOPICS),
    }  # fmt: skip
    assert sizes(task) == {"train": 22936, "validation": 7477, "test": 7546}  # 199 that stand in others are left out
    texts = {name: texts_of(examples) for name, examples in task.sets().items()}
    assert not are_copies(texts["train"], [*texts["validation"], *texts["test"]]).any()
    assert not are_copies(texts["validation"], texts["test"]).any()
    contents = groups(task, "group")
    assert len(set.union(*contents)) == sum(map(len, contents))
    sentiments = np.concatenate([examples.targets["sentiment"] for examples in task.sets().values()])
    np.testing.assert_array_equal(np.bincount(sentiments), [16162, 14932, 6865])
    known = np.concatenate([examples.targets["topic"] for examples in task.sets().values()])
    assert (known >= 0).mean() > 0.9
    assert set(known.tolist()) == set(range(-1, len(TOPICS)))


def test_topic_keywords_are_not_in_the_texts():
    task = load_task("topics")
    texts = task.test.inputs[np.arange(len(task.test))]
    assert all(without_keywords(text) == text for text in texts.tolist())
    assert without_keywords("#DeflateGate: Self-driving @united") == ":"


def test_tweets_are_read_from_known_columns(tmp_path):
    (tmp_path / "a.csv").write_text("mood,text\nx,y\n")
    with pytest.raises(ValueError, match="columns mood, text"):
        read_tweets(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text('sentiment,confidence,text\npositive,1,"a, b"\n')
    sentiments, texts = read_tweets(tmp_path / "a.csv")
    assert sentiments.tolist() == [2]
    assert texts == ["a, b"]
