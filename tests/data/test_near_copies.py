import numpy as np
import pytest

from tlzoo.data.near_copies import are_copies, joined_groups, near_copies, shared_words


def measured(pictures, limit):
    """Return the pairs that are near each other, one by one."""
    flat = pictures.reshape(len(pictures), -1) / 255.0
    pairs = [(i, j) for i in range(len(flat)) for j in range(i + 1, len(flat))]
    return [[i, j] for i, j in pairs if np.sqrt(np.square(flat[i] - flat[j]).mean()) < limit]


@pytest.mark.parametrize("shape", [(72, 72, 3), (24, 36, 1), (25, 30, 3)])
@pytest.mark.parametrize("limit", [0.03, 0.1, 0.3])
def test_pairs_are_those_that_differ_by_less(shape, limit):
    random = np.random.default_rng(0)
    base = random.integers(256, size=(6, *shape))
    noise = random.normal(size=(5, 6, *shape)) * np.array([2, 8, 20, 26, 60]).reshape(5, 1, 1, 1, 1)
    pictures = np.concatenate([base, *(base + noise)]).clip(0, 255).astype(np.uint8)
    found = near_copies(pictures, limit=limit).tolist()
    assert found == measured(pictures, limit)
    assert 0 < len(found) < len(pictures) * (len(pictures) - 1) / 2


def test_blocks_are_put_together(monkeypatch):
    pictures = np.random.default_rng(1).integers(4, size=(50, 12, 12, 1)).astype(np.uint8)
    whole = near_copies(pictures, limit=0.006).tolist()
    monkeypatch.setattr("tlzoo.data.near_copies._BLOCK", 7)
    assert near_copies(pictures, limit=0.006).tolist() == whole == measured(pictures, 0.006)


def test_the_limit_itself_is_no_near_copy():
    pictures = np.zeros((3, 12, 12, 1), dtype=np.uint8)
    pictures[1] += 51
    pictures[2] += 50
    assert near_copies(pictures, limit=0.2).tolist() == [[0, 2], [1, 2]]


def test_groups_are_joined_through_others_and_no_further():
    groups = np.array(["c", "a", "b", "e", "d", "a"])
    joined = joined_groups(groups, np.array([[0, 2], [2, 3], [4, 4]]))
    assert joined.tolist() == ["b", "a", "b", "b", "d", "a"]
    assert joined_groups(groups, np.empty((0, 2), dtype=np.int64)).tolist() == groups.tolist()


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("Great flight!", "great flight"),
        ("Great   flight", "GREAT flight..."),
        ("so good http://t.co/abc", "so good https://t.co/other"),
        ("ünïcode – words", "Ünïcode words"),
        ("snake_case", "snake case"),
    ],
)
def test_copies_of_texts(text, copy):
    assert are_copies([text, "another"], ["third", copy]).tolist() == [True, False]


def test_other_words_are_other_texts_and_signs_alone_are_no_text():
    assert are_copies(["a b", "ab", "2 cats", "!!!", ""], ["b a", "a  c", "3 cats", "???", ""]).tolist() == [False] * 5
    assert are_copies([], ["a"]).tolist() == []


def test_shares_of_words():
    assert shared_words(["a b c", "a b", "x"], ["c b a", "a b d", "y"]).round(2).tolist() == [1.0, 0.67, 0.0]
    assert shared_words(["a"], []).tolist() == [0.0]
