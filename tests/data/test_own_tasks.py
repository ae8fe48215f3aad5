"""Tasks of a user's own data in Python: what goes in, what is inferred, and what is refused."""

import logging
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_matrix
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from tlzoo import tasks
from tlzoo.data import ExampleSet
from tlzoo.data.tasks import Target
from tlzoo.errors import UserError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 4)).astype(np.float32)
Y = np.array(["cat", "dog"] * 20)
PICTURES = RANDOM.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


class Pictures(Dataset):
    """A map-style data set of pairs, with pictures of Pillow or tensors in [0, 1]."""

    def __init__(self, *, pillow: bool) -> None:
        self.pillow, self.classes = pillow, ["cat", "dog"]

    def __len__(self):
        return 40

    def __getitem__(self, row):
        picture = PICTURES[row]
        tensor = torch.from_numpy(picture).permute(2, 0, 1) / 255
        return Image.fromarray(picture) if self.pillow else tensor, row % 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Ten picture files of two classes, 20 to 29 pixels high."""
    root = tmp_path_factory.mktemp("pictures")
    for row in range(10):
        folder = root / ("cat", "dog")[row % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (20 + row, 40, 3), dtype=np.uint8)).save(folder / f"{row}.png")
    return sorted(root.glob("*/*.png"))


@pytest.mark.parametrize(
    "items",
    [
        X,
        X.astype(np.float64),
        torch.from_numpy(X),
        X.tolist(),
        pd.DataFrame(X, columns=list("abcd")),
        TensorDataset(torch.from_numpy(X)),
        ExampleSet(inputs=X, modality="features"),
    ],
    ids=["array", "float64", "tensor", "list", "table", "data set", "example set"],
)
def test_the_same_numbers_make_the_same_task(items):
    expected = tasks.domain(source=(X, Y), target=X + 1, test=(X, Y))
    task = tasks.domain(source=(items, Y), target=X + 1, test=(items, pd.Series(Y, index=range(7, 47))))
    assert task.checksum == expected.checksum
    assert task.class_names == ("cat", "dog")
    assert task.target_test.labels.tolist() == [0, 1] * 20


def test_another_number_makes_another_task():
    other = X.copy()
    other[39, 3] += 1
    checksums = {tasks.domain(source=(items, Y), target=X).checksum for items in (X, other)}
    checksums.add(tasks.domain(source=(X, Y[::-1]), target=X).checksum)
    assert len(checksums) == 3


def test_a_memory_map_stays_on_disk(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, X)
    task = tasks.domain(source=(np.load(path, mmap_mode="r"), Y), target=X)
    assert isinstance(task.source_train.base[0], np.memmap)
    assert task.checksum == tasks.domain(source=(X, Y), target=X).checksum


@pytest.mark.parametrize(
    "items",
    [
        Pictures(pillow=True),
        Pictures(pillow=False),
        Subset(Pictures(pillow=True), range(40)),
        (PICTURES, Y),
        (torch.from_numpy(PICTURES).permute(0, 3, 1, 2), Y),
        (torch.from_numpy(PICTURES).permute(0, 3, 1, 2) / 255, Y),
        ([Image.fromarray(picture) for picture in PICTURES], Y),
    ],
    ids=["Pillow", "tensors", "subset", "array", "channels first", "in [0, 1]", "list"],
)
def test_the_same_pictures_make_the_same_task(items):
    task = tasks.domain(source=items, target=PICTURES)
    assert task.checksum == tasks.domain(source=(PICTURES, Y), target=PICTURES).checksum
    assert task.class_names == ("cat", "dog")


def test_picture_files_are_read_at_a_common_size(files, caplog):
    labels = [file.parent.name for file in files]
    with caplog.at_level(logging.WARNING):
        task = tasks.domain(source=([str(file) for file in files], labels), target=files)
    assert task.source_train.inputs[np.array([0])].shape == (1, 24, 24, 3)
    assert "40 % of the pictures have less than 24 pixels a side" in caplog.text
    larger = tasks.domain(source=(files, labels), target=files, size=48)
    assert larger.source_train.inputs[np.array([0])].shape == (1, 48, 48, 3)
    assert larger.checksum != task.checksum


def test_a_picture_folder_of_torchvision_keeps_its_names(files):
    found = tasks.episodes(ImageFolder(files[0].parent.parent), way=2, novel=["cat", "dog"], size=24)
    assert found.class_names == ("cat", "dog")
    assert found.novel.inputs[np.array([0])].shape == (1, 24, 24, 3)


@pytest.mark.parametrize(
    ("source", "target", "name", "classes"),
    [
        ("abc", "abc", "own", ("a", "b", "c")),
        ("abc", "ab", "own/partial", ("a", "b", "c")),
        ("ab", "abc", "own/open", ("a", "b", "unknown")),
        ("abc", "bcd", "own/universal", ("a", "b", "c", "unknown")),
    ],
)
def test_the_classes_make_the_kind_of_task(source, target, name, classes):
    of_source, of_target = (np.array(list(each))[np.arange(40) % len(each)] for each in (source, target))
    task = tasks.domain(source=(X, of_source), target=(X, of_target))
    assert (task.name, task.class_names) == (name, classes)
    assert task.unknown == (classes.index("unknown") if "unknown" in classes else None)
    if task.unknown is not None:
        assert task.unknown in task.target_train.labels
    with pytest.raises(ValueError, match=r"the classes make a task that is \w+, not \w+|unknown setting"):
        tasks.domain(source=(X, of_source), target=(X, of_target), setting="open" if name == "own" else "closed")


def test_unlabelled_and_partly_labelled_targets():
    unlabelled = tasks.domain(source=(X, Y), target=X)
    assert unlabelled.target_test.labels is None
    assert len(unlabelled.target_test) == 40
    some = np.where(np.arange(40) < 20, Y, None)
    task = tasks.domain(source=(X, Y), target=(X, some))
    assert (task.target_test.labels >= 0).all()
    assert len(task.target_train) + len(task.target_test) == 40
    assert (task.target_train.labels == -1).sum() == 20


def test_several_sources_and_targets():
    task = tasks.domain(source={"a": (X, Y), "b": (X + 1, Y)}, target={"c": X, "d": (X, Y)})
    assert (task.source_names, task.target_names) == (("a", "b"), ("c", "d"))
    assert set(task.source_train.domains) == {0, 1}
    assert set(task.target_test.domains) == {1}


def test_numbers_and_names_of_classes():
    by_number = tasks.domain(source=(X, [0, 1] * 20), target=X, class_names=["cat", "dog"])
    assert by_number.checksum == tasks.domain(source=(X, Y), target=X).checksum
    turned = tasks.domain(source=(X, Y), target=X, class_names=["dog", "cat"])
    assert turned.class_names == ("dog", "cat")
    assert tasks.domain(source=(X, [9, 10] * 20), target=X).class_names == ("9", "10")


def test_every_class_is_trained_on():
    rare = np.array(["rare", *["common"] * 39])
    task = tasks.domain(source=(X, rare), target=X)
    assert set(task.source_train.labels) == {0, 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.domain((X, Y), np.where(X[2, 1] == X, np.nan, X)), "target: inputs: nan in row 2, column 1"),
        (
            lambda: tasks.domain((pd.DataFrame({"a": [1.0], "b": [None]}), ["x"]), X),
            "source: column 'b' is object, not numbers",
        ),
        (
            lambda: tasks.domain((pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, np.nan]}), ["x", "y"]), X),
            "source: nan in row 1, column 'b'; drop or fill",
        ),
        (lambda: tasks.domain((X, np.eye(4)[np.arange(40) % 4]), X), "give labels.argmax"),
        (lambda: tasks.domain((X, X[:, 0]), X), "in row 0; classes are names or whole numbers"),
        (lambda: tasks.domain((X, [-1, 1] * 20), X), "source labels: none in row 0 and 19 more; negative numbers mark"),
        (lambda: tasks.domain((X, Y[:-1]), X), "source labels: 39 labels for 40 items"),
        (lambda: tasks.domain(X, X), "source has no labels, which methods learn from"),
        (lambda: tasks.domain((X, Y), X[:, :3]), "width"),
        (lambda: tasks.domain((X, Y), (X, np.char.upper(Y))), "share no class: cat, dog and CAT, DOG"),
        (lambda: tasks.domain((["a"] * 40, Y), ["b", None]), "target: inputs: None in row 1"),
        (lambda: tasks.domain((["a"] * 40, Y), X), "one modality"),
        (lambda: tasks.domain((X, Y), ["a.png"]), "target: there is no file a.png .row 0.; paths are relative to"),
        (lambda: tasks.domain((PICTURES / 100 - 1, Y), PICTURES), "leave normalization to the network"),
        (lambda: tasks.domain((X, Y), X, class_names=["cat", "frog"]), "unknown class 'dog'"),
        (lambda: tasks.domain((X, Y), X, setting="opn"), "unknown setting 'opn'; did you mean 'open'"),
        (lambda: tasks.domain((X, Y), X, modality="vector"), "unknown modality 'vector'"),
        (lambda: tasks.episodes(X, Y, way=2, query=30), "2-way episodes need 2 classes with 1 . 30 examples"),
        (lambda: tasks.episodes(X, Y, novel=["cat", "frog"]), "novel: unknown class 'frog'"),
        (lambda: tasks.episodes(X, Y, base=["cat"], novel=["cat", "dog"]), "classes cat are both base and novel"),
        (lambda: tasks.multitask(X, {"a": [1, 2]}), "train: a: 2 labels for 40 items|a has 2 entries|expected"),
        (lambda: tasks.multitask(X, {"a": Y}, kinds={"b": "class"}), "unknown target 'b'"),
        (lambda: tasks.multitask(X, {"a": Y}, kinds={"a": "clas"}), "unknown kind of target 'clas'"),
        (lambda: tasks.zero_shot(X, Y, {"cat": "a cat"}), "classes without a description: dog"),
        (lambda: tasks.zero_shot(X, Y, {"cat": "a", "dog": "b"}, unseen=["frog"]), "unseen: unknown class 'frog'"),
        (
            lambda: tasks.zero_shot(X, Y, {"cat": "a", "dog": "b", "frog": "c"}, unseen=["frog"]),
            "unseen classes without an example: frog",
        ),
        (lambda: tasks.zero_shot(X, Y, {"cat": "a", "dog": "b"}, unseen=[]), "no unseen classes, so nothing to test"),
        (lambda: tasks.multitask(X, {"h": np.full(40, np.nan)}), "target 'h' has no label"),
        (lambda: tasks.fine_tuning(X), "train has no labels"),
    ],
)
def test_mistakes_are_named_where_data_enters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_data_sets_that_cannot_be_read_by_number(files):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(X)

    with pytest.raises(TypeError, match="has no items by number"):
        tasks.domain(Stream(), X)
    with pytest.raises(ValueError, match="differs from one reading to the next; give the data set without random"):
        tasks.episodes(ImageFolder(files[0].parent.parent, transform=transforms.RandomCrop(10)))
    with pytest.raises(ValueError, match=r"item 1 is \(22, 40, 3\), item 0 is \(20, 40, 3\).*size=... brings"):
        tasks.episodes(ImageFolder(files[0].parent.parent))


def test_episodes_of_chosen_and_of_drawn_classes():
    labels = np.arange(40) % 8
    task = tasks.episodes(X, labels, base=[0, 1], novel=["6", 7], way=2)
    assert {name: set(part.labels) for name, part in task.sets().items()} == {
        "base": {0, 1},
        "validation": {2, 3, 4, 5},
        "novel": {6, 7},
    }
    assert task.query == 4
    drawn = tasks.episodes(X, labels, way=2)
    kinds = [set(part.labels) for part in drawn.sets().values()]
    assert sorted(map(len, kinds)) == [2, 2, 4]
    assert set.union(*kinds) == set(range(8))
    across = tasks.episodes(X, labels, way=2, query=1, domains=np.arange(40) // 20)
    assert across.cross_domain


@pytest.mark.parametrize(("way", "validation"), [(2, 2), (3, 0)])
def test_validation_classes_are_enough_for_an_episode_or_none(way, validation):
    task = tasks.episodes(X[:30], np.arange(30) % 6, novel=list(range(6 - way)[:3]) if way == 3 else [0, 1], way=way)
    assert len(np.unique(task.validation.labels)) == validation
    assert len(np.unique(task.base.labels)) >= way


def test_kinds_of_targets_follow_from_their_labels():
    counted = np.arange(40) % 3
    task = tasks.multitask(
        X,
        {
            "height": X[:, 0],
            "species": Y,
            "three": counted,
            "age": np.arange(40) * 2,
            "alive": counted == 0,
            "some": np.where(counted == 0, np.nan, counted - 1),
            "grade": pd.Categorical(["low", "high"] * 20, categories=["low", "high"], ordered=True),
            "mask": np.zeros((40, 2, 2), dtype=np.int64) + np.arange(2),
        },
        kinds={"three": "value"},
    )
    plain = {name: replace(each, center=0.0, spread=1.0) for name, each in task.targets.items()}
    assert task.targets["age"].center == 39
    assert plain == {
        "height": Target(classes=0),
        "species": Target(classes=2, names=("cat", "dog")),
        "three": Target(classes=0),
        "age": Target(classes=0),
        "alive": Target(classes=2, names=("False", "True")),
        "some": Target(classes=2),
        "grade": Target(classes=2, kind="ordinal", names=("low", "high")),
        "mask": Target(classes=2, kind="dense"),
    }
    assert (task.train.targets["some"] == -1).any()
    assert len(task.train) + len(task.validation) + len(task.test) == 40


def test_zero_shot_from_texts_and_vectors():
    labels = np.arange(40) % 8
    vectors = {str(place): RANDOM.normal(size=3) for place in range(8)}
    task = tasks.zero_shot(X, labels, vectors, unseen=[6, 7], generalized=True)
    assert task.embeddings.shape == (8, 3)
    assert task.unseen.tolist() == [6, 7]
    assert len(task.held_out) == 1
    assert set(task.test_seen.labels) == set(task.seen)
    untrained = tasks.zero_shot(["some words"] * 40, Y, {"dog": "a dog", "cat": "a cat"})
    assert untrained.train is None
    assert untrained.descriptions == ("a cat", "a dog")


def test_fine_tuning_with_and_without_pretraining():
    task = tasks.fine_tuning((X, Y))
    assert (len(task.source_train), len(task.target_train), len(task.target_test)) == (0, 28, 12)
    pretrained = tasks.fine_tuning((X, Y), test=(X, Y), pretraining=(X, np.arange(40) % 3))
    assert pretrained.class_names == ("cat", "dog", "0", "1", "2")
    assert set(pretrained.source_train.labels) == {2, 3, 4}


def test_tasks_show_what_they_hold_in_a_line():
    shown = repr(tasks.episodes(X, np.arange(40) % 8, base=[0, 1], novel=["6", 7], way=2))
    assert shown == "EpisodeTask('own'; 8 classes; examples: {base: 10, validation: 20, novel: 10})"


def test_no_items_and_no_known_labels_are_named():
    none, nobody = X[:0], Y[:0]
    for given, name in (
        (lambda: tasks.domain(source=(none, nobody), target=X), "source"),
        (lambda: tasks.domain(source=(X, Y), target=none), "target"),
        (lambda: tasks.domain(source=(X, Y), target={"a": X, "b": none}), "b"),
        (lambda: tasks.domain(source=(X, Y), target=X, test=([], [])), "test"),
        (lambda: tasks.domain(source=(X, Y), target=X, source_test=(none, nobody)), "source_test"),
        (lambda: tasks.fine_tuning((X, Y), test=(none, nobody)), "test"),
        (lambda: tasks.fine_tuning((X, Y), pretraining=(none, nobody)), "pretraining"),
        (lambda: tasks.episodes(none, nobody), "X"),
        (lambda: tasks.multitask(none, {"kind": nobody}), "train"),
        (lambda: tasks.zero_shot(none, nobody, {"cat": "a", "dog": "b"}), "X"),
    ):
        with pytest.raises(ValueError, match=f"^{name} has no items; expected at least one$"):
            given()
    with pytest.raises(ValueError, match=r"^test labels: all are missing; give X alone where no label is known$"):
        tasks.domain(source=(X, Y), target=X, test=(X, [None] * 40))
    with pytest.raises(ValueError, match=r"^target labels: all are missing"):
        tasks.domain(source=(X, Y), target=(X, np.full(40, -1)))


FOUR = np.repeat(list("abcd"), 10)
VECTORS = dict(zip("abcd", np.eye(4), strict=True))
TEXTS = {name: f"a {name}" for name in "abcd"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tasks.domain(({"x": X}, Y), X), "source: inputs are a dict; expected an array or a list of items"),
        (lambda: tasks.domain((set(Y), Y), X), "source: inputs are a set; expected an array or a list"),
        (lambda: tasks.domain((csr_matrix(X), Y), X), "source: inputs are a sparse matrix; give a dense array"),
        (lambda: tasks.domain((X[:, :0], Y), X), "source: features inputs of shape (40, 0); expected at least one"),
        (
            lambda: tasks.domain((X, np.arange(40) % 2 + 0j), X),
            "source labels: 0j in row 0; classes are names or whole",
        ),
        (lambda: tasks.domain((X, Y), X, class_names="ab"), "class_names is 'ab'; expected a list of classes"),
        (lambda: tasks.domain((X, Y), X, train_share="half"), "train_share 'half'; expected a number in (0, 1)"),
        (lambda: tasks.domain((X, Y), X, metric="f1"), "unknown metric 'f1'; expected accuracy, balanced_accuracy"),
        (lambda: tasks.domain((X, Y), X, mirrored="yes"), "mirrored 'yes'; expected True or False"),
        (lambda: tasks.domain((X, Y), X, size=0), "size 0; expected at least 1, an integer"),
        (lambda: tasks.domain((X, Y), X, name=""), "the name of a task is ''; expected text in one line"),
        (lambda: tasks.domain((X, Y), X, name="a\nb"), r"the name of a task is 'a\nb'; expected text in one line"),
        (lambda: tasks.domain((X, Y), X, name=5), "the name of a task is 5; expected text in one line"),
        (lambda: tasks.episodes(X, FOUR, way="two"), "way 'two'; expected at least 1, an integer"),
        (lambda: tasks.episodes(X, FOUR, way=2.0), "way 2.0; expected at least 1, an integer"),
        (lambda: tasks.episodes(X, FOUR, way=2, query=0), "query 0; expected at least 1, an integer"),
        (lambda: tasks.multitask(X, {"": Y}), "own: a target is called ''; expected text in one line"),
        (lambda: tasks.multitask(X, {5: Y}), "own: a target is called 5; expected text in one line"),
        (lambda: tasks.zero_shot(X, FOUR, TEXTS, generalized="yes"), "generalized 'yes'; expected True or False"),
        (lambda: tasks.zero_shot(X, FOUR, 5), "0 descriptions for 4 classes (a, b, c, d); expected one each"),
        (
            lambda: tasks.zero_shot(X, FOUR, {**VECTORS, "b": VECTORS["a"]}, unseen=["a", "b"]),
            "classes 'a' and 'b' have the same vector; nothing could tell them apart",
        ),
        (
            lambda: tasks.zero_shot(X, FOUR, np.eye(4) + 0j),
            "descriptions are neither all texts nor all vectors of one width; expected one kind",
        ),
        (
            lambda: tasks.zero_shot(X, FOUR, np.eye(4) * 1e300, unseen=["d"]),
            "own: NaN or Inf in the embeddings of classes 'a' (0), 'b' (1), 'c' (2) and 1 more; repair them",
        ),
    ],
)
def test_odd_calls_are_refused_by_name(call, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        call()
