import gzip

import numpy as np
import pytest

from tlzoo.data import load_task
from tlzoo.data.datasets import digits
from tlzoo.data.datasets.digits import DIGIT_SETS, _overlaid, framed, load_digits


def rows_of(file, rows):
    with gzip.open(file, "wt") as lines:
        lines.writelines(",".join(map(str, [*row, label])) + "\n" for label, row in enumerate(rows))
    return file


def test_mnist_rows_are_pictures_as_they_are(tmp_path):
    rows = np.random.default_rng(0).integers(256, size=(3, 784))
    pictures, labels = DIGIT_SETS["mnist5k"](rows_of(tmp_path / "m.csv.gz", rows))
    assert labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(pictures, rows.reshape(-1, 28, 28))


def test_optdigits_rows_are_scaled(tmp_path):
    rows = np.vstack([np.full(64, 16), np.zeros(64), np.full(64, 8)])
    pictures, labels = DIGIT_SETS["optdigits"](rows_of(tmp_path / "o.csv.gz", rows))
    assert pictures.shape == (3, 8, 8)
    assert labels.dtype == np.int64
    assert [np.unique(picture).tolist() for picture in pictures] == [[255], [0], [127.5]]


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (50, 40)])
@pytest.mark.parametrize("corner", [(0, 0), (2, 1)])
def test_digits_have_one_size_and_place_whatever_their_frame(shape, corner):
    picture = np.zeros((1, *shape), dtype=np.float32)
    picture[0, corner[0] : corner[0] + 6, corner[1] : corner[1] + 3] = 255
    digit = framed(picture)[0]
    down, right = np.nonzero(digit)
    assert (down.min(), down.max(), right.min(), right.max()) == (4, 27, 10, 21)
    assert digit[4:28, 10:22].min() == 255
    assert digit.dtype == np.uint8


def test_an_empty_picture_stays_empty():
    assert not framed(np.zeros((1, 8, 8))).any()


def test_overlay_takes_the_brighter_pixel_in_opposite_corners():
    left, right = np.full((1, 28, 28), 100, dtype=np.uint8), np.full((1, 28, 28), 50, dtype=np.uint8)
    canvas = _overlaid(left, right)[0]
    assert (canvas[:28, :28] == 100).all()
    assert (canvas[28:, 28:] == 50).all()
    assert (canvas[28:, :8] == 0).all()


def test_pairs_are_written_from_disjoint_digits(tmp_path, monkeypatch):
    pool = np.random.default_rng(0).integers(256, size=(30, 28, 28), dtype=np.uint8), np.arange(30) % 10
    monkeypatch.setattr(digits, "read_digits", lambda name: {"mnist5k": pool}[name])
    monkeypatch.setattr(digits, "_PAIRS", {"train": (20, 40), "test": (10, 5)})
    digits._write_pairs(tmp_path)
    train, test = (digits._read_pairs(tmp_path / f"{part}.npz", "toy") for part in ("train", "test"))
    assert (len(train), len(test)) == (40, 5)
    used = [
        {*part.attributes["left_digit"].tolist(), *part.attributes["right_digit"].tolist()} for part in (train, test)
    ]
    assert not used[0] & used[1]
    np.testing.assert_array_equal(test.targets["right"], test.attributes["right_digit"] % 10)


@pytest.mark.data
def test_digits_both_ways():
    task = load_task("digits:mnist5k->optdigits")
    back = load_task("digits:optdigits->mnist5k")
    sizes = {name: len(examples) for name, examples in task.sets().items()}
    assert sizes == {"source_train": 3500, "source_test": 1500, "target_train": 1258, "target_test": 539}
    assert back.target_test.checksum == task.source_test.checksum
    assert task.checksum != back.checksum
    assert task.class_names == tuple("0123456789")
    batch = task.target_train.batch(np.arange(5))
    assert batch.inputs.shape == (5, 32, 32, 1)
    assert task.revision == 2
    for part in task.sets().values():  # the longer side of each digit has 24 pixels
        bright = part.inputs[np.arange(len(part))][..., 0] > 0
        rows, columns = bright.any(2).sum(1), bright.any(1).sum(1)
        assert (np.maximum(rows, columns) <= 24).all()
        assert np.maximum(rows, columns).mean() > 23


@pytest.mark.data
def test_digits_are_what_scikit_learn_says():
    from sklearn.datasets import load_digits as theirs

    ours = load_digits("optdigits")
    np.testing.assert_array_equal(ours.labels, theirs().target)
    assert np.bincount(load_digits("mnist5k").labels).tolist() == [500] * 10


@pytest.mark.data
def test_multidigits():
    task = load_task("multidigits")
    assert {name: len(examples) for name, examples in task.sets().items()} == {
        "train": 6000,
        "validation": 1000,
        "test": 2000,
    }
    used = [
        set(examples.attributes["left_digit"].tolist()) | set(examples.attributes["right_digit"].tolist())
        for examples in task.sets().values()
    ]
    assert len(set.union(*used)) == sum(map(len, used))
    pool = load_digits("mnist5k")
    for side in ("left", "right"):
        origin = task.test.attributes[f"{side}_digit"]
        np.testing.assert_array_equal(task.test.targets[side], pool.labels[origin])
        assert task.targets[side].classes == 10
    assert task.train.inputs.shape == (6000, 32, 32, 1)
    assert task.train.labels is None


@pytest.mark.data
def test_the_two_digits_lie_where_they_should():
    task = load_task("multidigits")
    pictures = task.train.inputs[np.arange(6000)][..., 0].astype(float)
    corners = pictures[:, :5, -5:].mean(), pictures[:, -5:, :5].mean()
    assert max(corners) < 1 < pictures[:, 8:16, 8:16].mean()
