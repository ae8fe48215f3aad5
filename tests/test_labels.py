"""Labels in all the forms that users have them in: taken, or refused with the row that is wrong."""

import numpy as np
import pandas as pd
import pytest
import torch

from tlzoo.labels import as_column, class_labels, is_missing, rows_named, target_labels, value_labels

WANTED = [2, 0, 1, 0]
ODD = [9, 3, 3, 1]  # an index that has nothing to do with positions


@pytest.mark.parametrize(
    "given",
    [
        WANTED,
        tuple(WANTED),
        np.array(WANTED),
        np.array(WANTED)[:, None],
        np.array(WANTED, dtype=np.uint16),
        np.array(WANTED, dtype=">i4"),
        np.array(WANTED, dtype=np.float16),
        np.array(WANTED, dtype=object),
        np.array(WANTED)[::-1][::-1],
        np.ma.array(WANTED),
        torch.tensor(WANTED),
        torch.tensor(WANTED)[:, None],
        torch.tensor(WANTED, dtype=torch.int32),
        torch.tensor(WANTED, dtype=torch.uint8),
        torch.tensor(WANTED, dtype=torch.bfloat16),
        torch.tensor([float(label) for label in WANTED], requires_grad=True),
        [torch.tensor(label) for label in WANTED],
        pd.Series(WANTED, index=ODD),
        pd.Series(WANTED, index=ODD, dtype="Int64"),
        pd.Series(WANTED, index=ODD, dtype="category"),
        pd.DataFrame({"label": WANTED}, index=ODD),
        pd.Index(WANTED),
        pd.array(WANTED, dtype="UInt8"),
        range(4),
    ],
    ids=lambda given: f"{type(given).__name__} {getattr(given, 'dtype', '')}",
)
def test_class_indices_in_any_form_are_taken_by_position(given):
    labels = class_labels(given, num_classes=4, size=4, complete=True)
    assert labels.dtype == torch.int64
    assert labels.tolist() == (list(range(4)) if isinstance(given, range) else WANTED)


def test_read_only_arrays_are_copied(tmp_path):
    np.save(tmp_path / "labels.npy", np.array(WANTED))
    assert class_labels(np.load(tmp_path / "labels.npy", mmap_mode="r")).tolist() == WANTED


@pytest.mark.parametrize(
    "given",
    [
        [0, -1, 1],
        [0, -7, 1],
        [0.0, np.nan, 1.0],
        torch.tensor([0.0, torch.nan, 1.0]),
        np.ma.array([0, 5, 1], mask=[False, True, False]),
        pd.Series([0, None, 1]),
        pd.Series([0, pd.NA, 1], dtype="Int64"),
        pd.Series([0, None, 1], dtype=object),
        [0, None, 1],
    ],
)
def test_what_marks_a_missing_class(given):
    labels = class_labels(given, num_classes=2)
    assert labels.tolist() == [0, -1, 1]
    assert is_missing(labels).tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"train: none in row 1 \(negative or NaN marks a missing label\)"):
        class_labels(given, num_classes=2, complete=True, what="train")


@pytest.mark.parametrize("given", [[True, False], np.array([True, False]), torch.tensor([True, False])])
def test_truth_values_are_classes(given):
    assert class_labels(given, num_classes=2).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2, 3], "labels: 3 in row 2; expected 0 to 2 for 3 classes, counted from 0: subtract 1"),
        ([0, 3, 255, 3, 3], "labels: 255 in rows 1, 2, 3 and 1 more; expected 0 to 2 for 3 classes"),
        ([0.5, 1], r"labels: 0\.5 in row 0; class indices are whole numbers"),
        ([0, np.inf], "labels: inf in row 1; class indices are whole numbers"),
        (np.eye(3), r"labels of shape \(3, 3\); expected \(N,\), one each; of one-hot rows take labels.argmax\(1\)"),
        (np.zeros((2, 4)), r"labels of shape \(2, 4\); expected \(N,\), one each$"),
        (torch.tensor(1), r"labels of shape \(\); expected \(N,\)"),
        (["cat", "dog"], r"labels are of type <U3 \('cat'\); expected numbers; of names, give indices"),
        (pd.Series(["cat", "dog"]), "labels.*'cat'.*; expected numbers; of names, give indices"),
        (pd.Series(["cat", "dog"], dtype="category"), "labels.*'cat'.*; expected numbers"),
        ([0, "1"], "labels.*expected numbers"),
        (np.array([0, "1"], dtype=object), "labels: '1' in row 1; expected numbers"),
        (pd.to_datetime(["2024-01-01"]), "labels are of type datetime64.*expected numbers"),
        (np.array([1j]), "labels are of type complex128"),
        (torch.tensor([1j]), "labels are complex numbers"),
        ({"a": 0}, "labels are a dict; expected an array or a list"),
        ({0, 1}, "labels are a set; expected an array or a list"),
        ("01", "labels are a str; expected an array or a list"),
        (3, "labels are a int; expected an array or a list"),
    ],
)
def test_what_is_no_class_index_is_named_with_its_row(given, message):
    with pytest.raises(ValueError, match=message):
        class_labels(given, num_classes=3)


def test_another_number_of_labels_than_inputs():
    with pytest.raises(ValueError, match="height has 2 entries for 3 inputs; expected one each"):
        value_labels([1.0, 2.0], size=3, what="height")
    with pytest.raises(ValueError, match="labels has 2 entries for 3 inputs"):
        class_labels([1, 2], size=3)


@pytest.mark.parametrize(
    "given",
    [
        [-3, 0, 2],
        np.array([-3, 0, 2], dtype=np.int8),
        np.array([[-3], [0], [2]]),
        torch.tensor([[-3], [0], [2]]),
        pd.Series([-3, 0, 2], index=[2, 2, 0]),
        [-3.0, 0.0, 2.0],
    ],
)
def test_negative_numbers_are_values(given):
    labels = value_labels(given)
    assert labels.is_floating_point()
    assert labels.tolist() == [-3, 0, 2]
    assert not is_missing(labels).any()


def test_only_nan_marks_a_missing_value():
    labels = value_labels(pd.Series([1.5, None, -1]))
    assert is_missing(labels).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="height: Inf in row 2; expected numbers, NaN where one is missing"):
        value_labels([0.0, np.nan, np.inf], what="height")


def test_labels_at_every_position():
    classes = target_labels(np.array([[[0, 1], [-1, 2]]], dtype=np.int8), kind="dense", classes=3)
    assert classes.dtype == torch.int64
    values = target_labels([[[0.5, np.nan]]], kind="dense", classes=0)
    assert values.shape == (1, 1, 2)
    assert is_missing(target_labels(np.full((2, 1, 1), np.nan), kind="dense", classes=0)).tolist() == [True, True]
    with pytest.raises(ValueError, match=r"depth of shape \(3,\); expected \(N, H, W\), one at every position"):
        target_labels([0, 1, 2], kind="dense", classes=3, what="depth")
    with pytest.raises(ValueError, match="seg: 255 in row 1, position 0, 1; expected 0 to 2 for 3 classes"):
        target_labels(np.array([[[0, 1]], [[0, 255]]]), kind="dense", classes=3, what="seg")


@pytest.mark.parametrize("kind", ["class", "ordinal"])
def test_ordered_classes_are_classes(kind):
    assert target_labels([2.0, np.nan], kind=kind, classes=3).tolist() == [2, -1]


def test_kinds_without_classes_are_values():
    assert target_labels([-1, 2], kind="value", classes=0).tolist() == [-1.0, 2.0]


def test_labels_that_are_right_already_are_not_copied():
    labels = torch.tensor(WANTED)
    assert class_labels(labels, num_classes=3).data_ptr() == labels.data_ptr()
    assert as_column(labels, what="labels").data_ptr() == labels.data_ptr()


def test_no_label_at_all():
    assert class_labels([], num_classes=3).tolist() == []
    assert value_labels(np.empty(0)).tolist() == []


def test_rows_are_named_with_the_place_in_them():
    assert rows_named(torch.tensor([[False, False], [False, True]])) == "row 1, column 1"
    assert rows_named(np.array([True] * 9)) == "rows 0, 1, 2 and 6 more"
