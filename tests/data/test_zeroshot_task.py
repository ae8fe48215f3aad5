"""What a zero-shot task refuses, its rehearsal, its texts."""

from dataclasses import replace

import numpy as np
import pytest

from tlzoo.data import load_task
from tlzoo.data.datasets.newsgroups import NEWSGROUPS
from tlzoo.data.datasets.reuters import R8, R52
from tlzoo.data.datasets.text_zeroshot import text_zeroshot
from tlzoo.data.example_set import ExampleSet, texts_of
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.types import Sees, SupervisionError

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")


def part(classes, each):
    labels = np.repeat(np.asarray(classes, dtype=np.int64), each)
    inputs = np.arange(len(labels) * 2, dtype=np.float32).reshape(-1, 2)
    return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=f"{classes} {each}")


def task(**changes):
    made = {
        "name": "zoo",
        "class_names": NAMES,
        "descriptions": tuple(f"an animal: {name}" for name in NAMES),
        "seen": np.array([0, 2, 3]),
        "held_out": np.array([1]),
        "unseen": np.array([4, 5]),
        "train": part([0, 2, 3], 6),
        "validation": part([1], 4),
        "test": part([4, 5], 3),
        "test_seen": part([0, 2, 3], 2),
        "embeddings": np.eye(6, dtype=np.float32),
    }
    return ZeroShotTask(**(made | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptions": ("a", "b", "", "d", " ", "f")}, r"zoo: classes 'cat' \(2\), 'elk' \(4\) have no description"),
        ({"descriptions": ("a", "b", "c", "d", "a", "f")}, r"'ant' \(0\), 'elk' \(4\) have the same description 'a'"),
        ({"descriptions": ("a", "b")}, "2 texts of kind 'description' for 6 classes"),
        ({"wordings": {"gloss": ("a",) * 6}}, "have the same gloss 'a'; nothing could tell them apart"),
        ({"class_names": ("x", "x", "c", "d", "e", "f")}, "have the same name 'x'"),
        ({"embeddings": np.full((6, 2), np.nan, np.float32)}, r"NaN or Inf in .* 'ant' \(0\), .* and 3 more; repair"),
        ({"embeddings": np.ones((5, 2), np.float32)}, r"embeddings of shape \(5, 2\) for 6 classes"),
        ({"unseen": np.array([0, 5])}, r"classes 'ant' \(0\) are both seen and unseen; a class is one of them"),
        ({"held_out": np.array([5])}, r"classes 'fox' \(5\) are both held_out and unseen"),
        (
            {"seen": np.array([0, 2])},
            r"zoo: train has examples of 'dog' \(3\), which seen does not name; leave them out",
        ),
        ({"unseen": np.array([4])}, r"test has examples of 'fox' \(5\), which unseen does not name"),
        ({"test_seen": part([4], 2)}, r"test_seen has examples of 'elk' \(4\), which seen or held_out does not name"),
        ({"validation": part([5], 2)}, r"validation has examples of 'fox' \(5\), which held_out does not name"),
        ({"seen": np.array([0, 2, 3, 3])}, r"seen classes \[0, 2, 3, 3\]; expected each once, out of 6"),
        ({"unseen": np.array([4, 5, 6])}, r"unseen classes \[4, 5, 6\]; expected each once, out of 6"),
    ],
)
def test_bad_classes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        task(**changes)


def test_texts_by_kind():
    described = task(wordings={"gloss": tuple("abcdef")})
    assert described.texts("name") == NAMES
    assert described.texts("gloss") == tuple("abcdef")
    assert described.texts() == described.descriptions
    with pytest.raises(ValueError, match="zoo: unknown wording 'glos'; did you mean 'gloss'"):
        described.texts("glos")
    assert described.checksum != task().checksum


def test_candidates():
    assert task().candidates.tolist() == [0, 1, 2, 3, 4, 5]
    assert task(test_seen=None).candidates.tolist() == [4, 5]


def test_the_rehearsal_knows_nothing_of_the_unseen_classes():
    rehearsal = task().rehearsal()
    assert rehearsal.unseen.tolist() == [1]
    assert rehearsal.candidates.tolist() == [0, 1, 2, 3]
    assert set(rehearsal.test.labels.tolist()) == {1}
    taken = [rehearsal.test_seen.inputs[np.array([i])].tolist() for i in range(3)]
    kept = rehearsal.train.inputs[np.arange(len(rehearsal.train))].tolist()
    assert np.bincount(rehearsal.train.labels).tolist() == [5, 0, 5, 5]
    assert rehearsal.test_seen.labels.tolist() == [0, 2, 3]
    assert not any(row in kept for rows in taken for row in rows)
    # from each class another place, as places may stand for something (a vendor)
    assert [rows[0][0] for rows in taken] == [0.0, 14.0, 28.0]


def test_the_rehearsal_of_unseen_classes_alone_trains_on_all_that_is_seen():
    rehearsal = task(test_seen=None).rehearsal()
    assert len(rehearsal.train) == 18
    assert rehearsal.test_seen is None
    assert rehearsal.candidates.tolist() == [1]
    with pytest.raises(ValueError, match="no training and held-out classes to rehearse on"):
        rehearsal.rehearsal()


def test_a_fit_gets_no_unseen_class():
    sees = {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.CLASS_DESCRIPTIONS}
    view = task().training_data(sees, by="eszsl")
    assert view.class_embeddings.tolist() == np.eye(6)[[0, 2, 3]].tolist()
    assert set(view.train.labels.tolist()) == {0, 1, 2}
    with pytest.raises(SupervisionError, match="unseen_embeddings: eszsl declares"):
        _ = view.unseen_embeddings


def test_documents_are_cut_and_described():
    texts, topics = np.array(["x" * 900, "short"]), np.array(["earn", "ship"])
    made = text_zeroshot("few", R8, texts, topics, source="reuters")
    assert [len(text) for text in made.test.inputs.tolist()] == [600, 5]
    assert made.test.labels.tolist() == [list(R8).index("earn"), list(R8).index("ship")]
    assert made.texts("gloss") == tuple(said.gloss for said in R8.values())
    with pytest.raises(ValueError, match="few: no description of tin"):
        text_zeroshot("few", R8, texts, np.array(["tin", "earn"]), source="reuters")


def test_what_stands_in_the_test_is_not_chosen_on():
    texts = np.array(["Oil prices rose", "oil prices rose!", "ships", "SHIPS", "wheat"])
    topics = np.array(["crude", "crude", "ship", "ship", "grain"])
    made = text_zeroshot("few", R8, texts[:1], topics[:1], source="reuters", development=(texts[1:], topics[1:]))
    assert texts_of(made.development) == ["ships", "SHIPS", "wheat"]
    assert made.development.labels.tolist() == [list(R8).index(topic) for topic in ("ship", "ship", "grain")]


def test_a_development_set_is_a_fixed_draw_of_known_classes():
    texts = np.array([f"document {number}" for number in range(2500)])
    topics = np.array(["earn", "ship", "stray", "earn", "acq"] * 500)
    known = np.array(["x"]), np.array(["ship"])
    made, again = (text_zeroshot("few", R8, *known, source="reuters", development=(texts, topics)) for _ in range(2))
    assert len(made.development) == 2000
    labels = dict(zip(texts.tolist(), topics.tolist(), strict=True))
    for text, label in zip(texts_of(made.development), made.development.labels.tolist(), strict=True):
        assert labels[text] == list(R8)[label]
    assert made.checksum == again.checksum
    assert made.checksum != text_zeroshot("few", R8, *known, source="reuters").checksum
    on_it = made.on_development()
    assert on_it.test is made.development
    assert on_it.development is None
    with pytest.raises(ValueError, match="neither held-out classes nor a development set"):
        on_it.on_development()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "classes", "documents", "largest"),
    [("newsgroups", NEWSGROUPS, 7528, 399), ("reuters-r52", R52, 2568, 1083)],
)
def test_whole_test_sets(name, classes, documents, largest):
    loaded = load_task(name)
    assert loaded.class_names == tuple(classes)
    assert len(loaded.test) == documents
    assert np.bincount(loaded.test.labels, minlength=len(classes)).max() == largest
    assert np.bincount(loaded.test.labels, minlength=len(classes)).min() >= 1
    assert replace(loaded, descriptions=loaded.texts("gloss"), wordings={}).checksum != loaded.checksum


@pytest.mark.data
def test_topics_keep_no_keyword_and_describe_without_them():
    from tlzoo.data.datasets.sentiment_zeroshot import TOPIC_TEXTS
    from tlzoo.data.datasets.topics import without_keywords

    loaded = load_task("topics-zeroshot")
    assert loaded.class_names == tuple(TOPIC_TEXTS)
    assert np.bincount(loaded.test.labels, minlength=6).min() > 50
    for said in TOPIC_TEXTS.values():
        assert without_keywords(said.phrase) == said.phrase
        assert without_keywords(said.gloss) == said.gloss


@pytest.mark.data
@pytest.mark.parametrize("place", ["amazon", "movies", "news", "tweets"])
def test_sentiment_is_whole_and_binary(place):
    from tlzoo.data.datasets.sentiment import load_sentiment

    loaded = load_task(f"sentiment-zeroshot:{place}")
    examples, _ = load_sentiment(place)
    assert loaded.class_names == ("negative", "positive")
    assert loaded.test.labels.tolist() == examples.labels.tolist()
    assert loaded.train is None


@pytest.mark.parametrize("seen", [[0, 2, 3], [3, 0, 2], [2, 3, 0]])
def test_examples_meet_their_class_in_whatever_order_classes_stand(seen):
    made = task(seen=np.array(seen), embeddings=np.arange(12, dtype=np.float32).reshape(6, 2))
    view = made.training_data({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.CLASS_DESCRIPTIONS}, by="it")
    np.testing.assert_array_equal(view.class_embeddings[view.train.labels], made.embeddings[made.train.labels])


def test_places_of_labels_and_of_missing_ones():
    assert task().places(np.array([5, 4, -1, 5]), np.array([5, 4])).tolist() == [0, 1, -1, 0]
    assert task().places(np.array([0, 5]), np.array([5, 4])).tolist() == [-1, 0]
