"""Raw items in all the forms that users have them in: read by position, or refused where they enter."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from torch.utils.data import TensorDataset

from tlzoo.data import DomainTask, EpisodeTask, ExampleSet, MultitaskTask, Target
from tlzoo.inputs import as_inputs, by_position

X = np.arange(12.0).reshape(4, 3)
WORDS = ["a", "bb", "ccc", "dddd"]
ODD = [2, 0, 3, 1]


def memory_map(folder):
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


class Column:
    """Items as a column of ``datasets`` gives them: a sequence that is no list, and knows no arrays of positions."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, place):
        return self.items[place]


class Named(Column):
    """Items by name, as some readers have them."""

    def __getitem__(self, place):
        return {"input": self.items[int(place[0])]}


class Reader(Column):
    def __getitem__(self, places):
        return np.array([self.items[place] for place in places])


FORMS = {
    "array": lambda _: X,
    "fortran": lambda _: np.asfortranarray(X),
    "view": lambda _: np.vstack([X, X])[::2][[0, 2, 1, 3]][[0, 2, 1, 3]][:4] * 0 + X,
    "list of lists": lambda _: X.tolist(),
    "list of arrays": lambda _: list(X),
    "list of tensors": lambda _: list(torch.from_numpy(X)),
    "tuple": lambda _: tuple(map(tuple, X)),
    "tensor": lambda _: torch.from_numpy(X),
    "tensor with gradient": lambda _: torch.from_numpy(X).clone().requires_grad_(),
    "half tensor": lambda _: torch.from_numpy(X).bfloat16(),
    "table": lambda _: pd.DataFrame(X, index=ODD),
    "series of arrays": lambda _: pd.Series(list(X), index=ODD),
    "memory map": memory_map,
    "integers": lambda _: X.astype(np.int32),
    "truth values": lambda _: X.astype(bool),
    "reader": lambda _: Reader(X),
    "masked": lambda _: np.ma.array(X),
}


@pytest.mark.parametrize("form", FORMS)
def test_features_in_any_form_are_read_by_position(form, tmp_path):
    given = FORMS[form](tmp_path)
    wanted = torch.from_numpy(X.astype(bool) if form == "truth values" else X).float()
    examples = ExampleSet(inputs=given, modality="features", labels=[0, 1, 0, 1])
    for places in ([0, 1, 2, 3], [3, 1], [2]):
        batch = examples.batch(np.array(places))
        assert batch.inputs.dtype == torch.float32
        assert torch.equal(batch.inputs, wanted[places])
        assert torch.equal(examples.subset(np.array(places)).batch(np.arange(len(places))).inputs, wanted[places])


@pytest.mark.parametrize(
    "given",
    [
        WORDS,
        tuple(WORDS),
        np.array(WORDS),
        np.array(WORDS, dtype=object),
        np.array(WORDS, dtype=np.dtypes.StringDType()),
        np.array(WORDS)[:, None],
        pd.Series(WORDS, index=ODD),
        pd.Series(WORDS * 2, index=ODD * 2)[:4],
        pd.Series([*WORDS, "out"]).drop(4),
        pd.Series(WORDS, dtype="category"),
        pd.DataFrame({"text": WORDS}, index=ODD),
        pa.array(WORDS),
        pa.chunked_array([WORDS[:2], WORDS[2:]]),
        pd.Index(WORDS),
    ],
    ids=lambda given: type(given).__name__,
)
def test_texts_in_any_form_are_read_by_position(given):
    examples = ExampleSet(inputs=given, modality="text")
    assert examples.batch(np.array([2, 0])).inputs == ["ccc", "a"]


@pytest.mark.parametrize("given", [[0, 1, 0, 1], torch.tensor([0, 1, 0, 1]), pd.Series([0.0, 1, 0, 1], index=ODD)])
def test_columns_go_by_position(given):
    columns = {"targets": {"t": given}, "attributes": {"a": given}}
    examples = ExampleSet(inputs=X, modality="features", labels=given, domains=given, **columns)
    part = examples.subset(np.array([1, 2]))
    assert part.labels.tolist() == part.domains.tolist() == [1, 0]
    assert part.targets["t"].tolist() == part.attributes["a"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("modality", "inputs", "message"),
    [
        ("vector", X, "unknown modality 'vector'"),
        ("features", X[:, 0], r"features inputs are float64 \(4,\); expected numbers \(N, D\).*inputs\[:, None\]"),
        ("features", X[:, :, None], "of time series the modality is 'series'"),
        ("features", [[1, 2], [3]], r"differ in shape: \(2,\) in row 0 and \(1,\) in row 1"),
        ("features", WORDS, r"features inputs are <U4 \(4,\)"),
        ("features", X.astype(complex), "features inputs are complex128"),
        ("features", scipy.sparse.csr_matrix(X), r"sparse matrix; give a dense array: inputs.toarray\(\)"),
        ("features", torch.from_numpy(X).to_sparse(), r"sparse tensor; give a dense one: inputs.to_dense\(\)"),
        ("features", np.ma.array(X, mask=X > 3), "masked entries; fill them first"),
        ("series", X, r"series inputs are float64 \(4, 3\); expected numbers \(N, time, channels\)"),
        ("image", np.zeros((2, 8, 8, 3)), r"expected uint8 pixels \(N, H, W, C\).*\(255 \* inputs\)"),
        ("image", np.zeros((2, 3, 8, 8), np.uint8), r"channels come last: inputs.transpose\(0, 2, 3, 1\)"),
        ("image", np.zeros((2, 8, 8), np.uint8), r"of gray pictures give inputs\[..., None\]"),
        ("image", np.zeros((2, 8, 8, 1), np.uint16), r"image inputs are uint16 \(2, 8, 8, 1\); expected uint8"),
        ("text", ["a", None], "inputs: None in row 1; expected strings; drop or fill missing ones"),
        ("text", pd.Series(["a", None, "b"]), "in row 1; expected strings"),
        ("text", ["a", b"b"], "inputs: b'b' in row 1; expected strings"),
        ("text", [1, 2], "inputs: 1 in row 0; expected strings"),
        ("text", np.array([["a", "b"]]), r"texts of shape \(1, 2\); expected \(N,\) strings"),
    ],
)
def test_items_that_are_not_what_the_modality_says(modality, inputs, message):
    with pytest.raises(ValueError, match=message):
        ExampleSet(inputs=inputs, modality=modality)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "inputs are a NoneType; expected an array or a list"),
        ("word", "inputs are a str"),
        ({"x": X}, "inputs are a dict"),
        ((row for row in X), "inputs are a generator, which has no length or no items"),
        (
            TensorDataset(torch.from_numpy(X), torch.arange(4)),
            "inputs are a TensorDataset: .*is a tuple",
        ),
        (Column(list(X)), "inputs are a Column, which cannot be read by position"),
        (Named(list(X)), "inputs are a Named: .*is a dict, not an array of one item"),
    ],
)
def test_what_cannot_be_read_by_position(inputs, message):
    with pytest.raises(TypeError, match=message):
        ExampleSet(inputs=inputs, modality="features")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_is_named_with_row_and_column(bad, dtype):
    features = X.astype(dtype)
    features[2, 1] = bad
    with pytest.raises(FloatingPointError, match=rf"inputs: {bad} in row 2, column 1; drop or fix such rows"):
        ExampleSet(inputs=features, modality="features")
    with pytest.raises(FloatingPointError, match="in row 2, position 1, 0"):
        ExampleSet(inputs=features[:, :, None], modality="series")
    with pytest.raises(FloatingPointError, match="in row 2, column 1"):
        ExampleSet(inputs=pd.DataFrame(features), modality="features")


def test_memory_maps_are_looked_at_in_parts_and_stay_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tlzoo.inputs._BLOCK", 6)
    taken = as_inputs(memory_map(tmp_path), "features")
    assert isinstance(taken, np.memmap)
    broken = X.copy()
    broken[3, 2] = np.nan
    np.save(tmp_path / "broken.npy", broken)
    with pytest.raises(FloatingPointError, match=r"1e\+39 in row 1, column 0"):  # beyond float32, which batches hold
        ExampleSet(inputs=np.where(np.arange(12).reshape(4, 3) == 3, 1e39, X), modality="features")
    with pytest.raises(FloatingPointError, match="row 3, column 2"):
        as_inputs(np.load(tmp_path / "broken.npy", mmap_mode="r"), "features")


def test_nothing_at_all():
    assert len(ExampleSet(inputs=np.empty((0, 3)), modality="features")) == 0
    assert len(ExampleSet(inputs=[], modality="text")) == 0
    assert by_position([], "text").dtype == object


def test_arrays_of_other_content_have_other_identities():
    def checksum(inputs, modality="features"):
        return ExampleSet(inputs=inputs, modality=modality).checksum

    changed = X.copy()
    changed[3, 2] += 1e-9
    assert checksum(X) == checksum(X.copy()) == checksum(X.tolist()) == checksum(torch.from_numpy(X))
    assert len({checksum(X), checksum(changed), checksum(X[:3]), checksum(X.astype(np.float32))}) == 4
    assert checksum(WORDS, "text") == checksum(pd.Series(WORDS, index=ODD), "text") != checksum(WORDS[::-1], "text")
    assert checksum(Reader(X)) == checksum(Reader(X.copy())) != checksum(Reader(changed))
    many = np.arange(3000.0)[:, None]
    last = many.copy()
    last[-1] = 0
    assert checksum(Reader(many)) != checksum(Reader(last))


def test_a_mask_of_another_length():
    examples = ExampleSet(inputs=X, modality="features")
    with pytest.raises(ValueError, match=r"a mask of shape \(3,\) for 4 examples"):
        examples.subset(np.array([True, False, True]))
    assert len(examples.subset(pd.Series([True, False, True, True], index=ODD))) == 3
    assert examples.subset([3, 0]).batch(np.array([0])).inputs.tolist() == [[9, 10, 11]]


def domain_task(**changes):
    def part(inputs=X, labels=(0, 1, 2, 0), modality="features"):
        return ExampleSet(inputs=inputs, labels=labels, modality=modality)

    names = ("source_train", "source_test", "target_train", "target_test")
    parts = {name: part(**changes.get(name, {})) for name in names}
    return DomainTask(name="mine", class_names=("a", "b", "c"), **parts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_train": {"labels": None}}, "mine: source_train has no labels, which the task is made of"),
        ({"source_train": {"labels": [0, 1, -1, -1]}}, "mine: source_train labels: none in rows 2, 3"),
        ({"target_test": {"labels": [0, np.nan, 1, 1]}}, "mine: target_test labels: none in row 1"),
        ({"target_train": {"labels": [0, 3, 1, 1]}}, "mine: target_train labels: 3 in row 1; expected 0 to 2"),
        ({"source_test": {"labels": [1, 2, 3, 3]}}, "counted from 0: subtract 1"),
        ({"target_test": {"inputs": X[:, :2]}}, "target_train has features of width 3, target_test of width 2"),
        ({"target_test": {"inputs": WORDS, "modality": "text"}}, "target_train holds features items, target_test text"),
        ({"source_test": {"inputs": X[..., None], "modality": "series"}}, "source_train holds features items"),
    ],
)
def test_what_a_domain_task_is_not_made_of(changes, message):
    with pytest.raises(ValueError, match=message):
        domain_task(**changes)


def test_target_labels_may_be_unknown_in_part_or_all():
    assert domain_task(target_train={"labels": None}, target_test={"labels": None}).target_test.labels is None
    partly = domain_task(target_train={"labels": [0, -5, np.nan, 1]})
    assert partly.target_train.labels.tolist() == [0, -1, -1, 1]


@pytest.mark.parametrize("labels", [None, [0, 0, 1, -1], [0, 0, 1, 2]])
def test_what_an_episode_task_is_not_made_of(labels):
    def part(labels):
        return ExampleSet(inputs=X, labels=labels, modality="features")

    good = part([0, 0, 1, 1])
    with pytest.raises(ValueError, match="mine: novel"):
        EpisodeTask(name="mine", class_names=("a", "b"), base=good, validation=good, novel=part(labels))


def multitask(targets, **columns):
    part = ExampleSet(inputs=X, modality="features", targets=columns)
    return MultitaskTask(name="mine", targets=targets, train=part, validation=part, test=part)


def test_targets_take_the_form_of_their_kind():
    kinds = {"sex": Target(classes=2), "shift": Target(classes=0), "stage": Target(classes=3, kind="ordinal")}
    columns = {
        "sex": pd.Series([0, None, 1, 1], index=ODD),
        "shift": pd.Series([-2, -1, 0, 5], index=ODD),
        "stage": torch.tensor([0, -9, 2, 1]),
    }
    taken = multitask(kinds, **columns).train.targets
    assert (taken["sex"].dtype, taken["sex"].tolist()) == (np.int64, [0, -1, 1, 1])
    assert (taken["shift"].dtype.kind, taken["shift"].tolist()) == ("f", [-2, -1, 0, 5])
    assert taken["stage"].tolist() == [0, -1, 2, 1]


def test_labels_of_pictures_stay_small_until_they_are_used():
    dense = multitask({"seg": Target(classes=3, kind="dense")}, seg=np.zeros((4, 2, 2), dtype=np.int8))
    assert dense.train.targets["seg"].dtype == np.int8


@pytest.mark.parametrize(
    ("kind", "column", "message"),
    [
        (Target(classes=2), [0, 1, 2, 0], "mine: train: t: 2 in row 2; expected 0 to 1"),
        (Target(classes=2), [0, 0.25, 1, 0], r"mine: train: t: 0\.25 in row 1; class indices are whole numbers"),
        (Target(classes=0), [0, np.inf, 1, 0], "mine: train: t: Inf in row 1"),
        (Target(classes=2, kind="dense"), np.full((4, 2, 2), 255, np.uint8), "mine: train: t: 255 in rows 0, 1, 2"),
        (Target(classes=2), np.zeros((4, 2)), r"mine: train: t of shape \(4, 2\)"),
    ],
)
def test_targets_that_are_not_of_their_kind(kind, column, message):
    with pytest.raises(ValueError, match=message):
        multitask({"t": kind}, t=column)


def test_a_target_that_no_set_has():
    with pytest.raises(ValueError, match="mine: train has no target 'age'; it has height"):
        multitask({"age": Target(classes=0)}, height=[1, 2, 3, 4])
