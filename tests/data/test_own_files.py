"""Tasks on a user's own files: every format gives the task that its arrays would give in Python."""

import json
import sys
import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from tlzoo import load_task, tasks
from tlzoo.data.readers import read_columns

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = np.array(["cat", "dog", "frog"] * 8)
SITE = np.repeat(["a", "b"], 12)
SPLIT = np.tile(np.repeat(["train", "test"], [9, 3]), 2)
SETS = {"source": (X[:12], Y[:12]), "target": (X[12:], Y[12:])}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The same data in every format."""
    root = tmp_path_factory.mktemp("own")
    arrays = {"X_source": X[:12], "y_source": Y[:12], "X_target": X[12:], "y_target": Y[12:]}
    np.savez(root / "parts.npz", **arrays)
    np.savez(root / "whole.npz", X=X, y=Y, site=SITE, attributes=np.eye(3, dtype=np.float32))
    numbers = np.unique(Y, return_inverse=True)[1] + 1
    savemat(root / "parts.mat", {"fs": X[:12].T, "ls": numbers[:12, None], "ft": X[12:].T})
    savemat(root / "whole.mat", {"X": X, "y": Y.astype(object), "site": SITE.astype(object)})
    table = pd.DataFrame({"x": X[:, 0], "y": X[:, 1], "z": X[:, 2], "class": Y, "site": SITE, "split": SPLIT})
    table.to_csv(root / "table.csv", index=False)
    table.to_csv(root / "table.tsv", index=False, sep="\t")
    table.to_parquet(root / "table.parquet")
    for site in "ab":
        for row in np.flatnonzero(site == SITE):
            folder = root / "pictures" / site / Y[row]
            folder.mkdir(parents=True, exist_ok=True)
            color = tuple((np.abs(X[row]) * 50).astype(int).tolist())
            Image.new("RGB", (20, 16), color).save(folder / f"{row:02}.png")
        lines = [f"pictures/{site}/{Y[row]}/{row:02}.png {Y[row]}" for row in np.flatnonzero(site == SITE)]
        (root / f"{site}.txt").write_text("\n".join(["# a comment", *lines, ""]))
    (root / "described.json").write_text(json.dumps({"cat": "a cat", "dog": "a dog", "frog": "a frog"}))
    pd.DataFrame({"class": ["cat", "dog", "frog"], "legs": [4, 4, 4], "green": [0, 0, 1]}).to_csv(
        root / "attributes.csv", index=False
    )
    return root


TABLE = {"features": ["x", "y", "z"], "labels": "class", "domain": "site", "source": "a", "target": "b"}


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"from": "parts.npz"}, "parts"),
        ({"from": "parts.npz", "source": ["X_source", "y_source"], "target": ["X_target", "y_target"]}, "parts"),
        ({"from": "whole.npz", "domain": "site", "source": "a", "target": "b"}, "whole/a->b"),
        ({"from": "whole.mat", "domain": "site", "source": "a", "target": "b"}, "whole/a->b"),
        ({"from": "table.csv", **TABLE}, "table/a->b"),
        ({"from": "table.tsv", **TABLE}, "table/a->b"),
        ({"from": "table.parquet", **TABLE}, "table/a->b"),
        ({"from": "table.parquet", **TABLE, "name": "mine"}, "mine"),
    ],
)
def test_every_format_gives_the_same_domain_task(root, spec, name):
    task = load_task({"kind": "domain", **spec}, root=root)
    expected = tasks.domain(**SETS, name=name)
    np.testing.assert_allclose(task.source_train.inputs[np.arange(3)], expected.source_train.inputs[np.arange(3)])
    assert task.source_train.labels.tolist() == expected.source_train.labels.tolist()
    assert (task.name, task.class_names) == (name, ("cat", "dog", "frog"))
    if "csv" not in spec["from"] and "tsv" not in spec["from"]:  # where numbers are written in full
        assert task.checksum == expected.checksum


def test_examples_of_matlab_may_stand_in_columns(root):
    spec = {"kind": "domain", "from": "parts.mat", "source": ["fs", "ls"], "target": "ft"}
    task = load_task(spec, root=root)
    assert task.class_names == ("1", "2", "3")
    np.testing.assert_array_equal(task.target_test.inputs[np.arange(12)], X[12:])


def test_a_column_of_splits_makes_the_test(root):
    task = load_task({"kind": "domain", "from": "table.csv", "split": "split", **TABLE}, root=root)
    assert {name: len(part) for name, part in task.sets().items()} == {
        "source_train": 9,
        "source_test": 3,
        "target_train": 9,
        "target_test": 3,
    }
    tuned = load_task(
        {"kind": "finetuning", "from": "table.csv", "split": "split", "features": ["x", "y", "z"], "labels": "class"},
        root,
    )
    assert (len(tuned.target_train), len(tuned.target_test)) == (18, 6)


def test_picture_folders_and_lists_hold_the_same_pictures(root):
    folder = load_task({"kind": "domain", "from": "pictures", "source": "a", "target": "b"}, root=root)
    lists = load_task({"kind": "domain", "source": "a.txt", "target": "b.txt"}, root=root)
    assert (folder.name, lists.name) == ("pictures/a->b", "a->b")
    assert folder.source_train.inputs[np.array([0])].shape == (1, 16, 16, 3)
    assert sorted(folder.source_train.labels) == sorted(lists.source_train.labels)
    small = load_task({"kind": "domain", "from": "pictures", "source": "a", "target": "b", "size": 8}, root=root)
    assert small.source_train.inputs[np.array([0])].shape == (1, 8, 8, 3)
    assert small.checksum != folder.checksum


def test_a_table_may_name_pictures_or_texts(root):
    files = [f"pictures/{site}/{label}/{row:02}.png" for row, (site, label) in enumerate(zip(SITE, Y, strict=True))]
    pd.DataFrame({"file": files, "words": ["some words"] * 24, "class": Y}).to_csv(root / "named.csv", index=False)
    spec = {"kind": "episode", "from": "named.csv", "labels": "class", "way": 3, "novel": ["cat", "dog", "frog"]}
    assert load_task({**spec, "path": "file"}, root=root).novel.modality == "image"
    assert load_task({**spec, "text": "words"}, root=root).novel.modality == "text"


def test_classes_of_a_split_are_base_and_novel(tmp_path):
    for split, classes in (("train", "abcd"), ("val", "ef"), ("test", "gh")):
        for name in classes:
            folder = tmp_path / "mini" / split / name
            folder.mkdir(parents=True)
            for row in range(3):
                Image.new("RGB", (8, 8), (row * 20, ord(name), 0)).save(folder / f"{row}.png")
    task = load_task({"kind": "episode", "from": "mini", "way": 2}, root=tmp_path)
    assert [len(set(part.labels)) for part in (task.base, task.validation, task.novel)] == [4, 2, 2]


def test_targets_are_columns(root):
    spec = {"kind": "multitask", "from": "table.parquet", "features": ["x", "y"], "split": "split"}
    task = load_task({**spec, "targets": ["z", "class"]}, root=root)
    assert {name: target.kind for name, target in task.targets.items()} == {"z": "value", "class": "class"}
    assert (len(task.test), task.targets["class"].names) == (6, ("cat", "dog", "frog"))
    pairs = load_task({"kind": "multitask", "from": "whole.npz", "targets": {"y": None, "site": "class"}}, root=root)
    assert {name: target.classes for name, target in pairs.targets.items()} == {"y": 3, "site": 2}


@pytest.mark.parametrize(
    "described", ["attributes", "described.json", "attributes.csv", {"cat": "a", "dog": "b", "frog": "c"}]
)
def test_descriptions_of_classes(root, described):
    spec = {"kind": "zeroshot", "from": "whole.npz", "descriptions": described, "unseen": ["frog"]}
    task = load_task(spec, root=root)
    assert task.unseen.tolist() == [2]
    width = {"attributes": 3, "attributes.csv": 2}.get(described if isinstance(described, str) else "")
    assert (None if task.embeddings is None else task.embeddings.shape[1]) == width


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "domian"}, "unknown kind 'domian'; did you mean 'domain'"),
        ({}, "a task without kind"),
        ({"kind": "domain", "form": "parts.npz"}, "unknown key of a domain task 'form'; did you mean 'from'"),
        ({"kind": "domain", "from": "nothing.npz"}, "there is no file or folder .*nothing.npz"),
        ({"kind": "domain", "from": "described.json"}, "a format that tlzoo does not read; expected .npz"),
        ({"kind": "domain", "from": "whole.npz"}, "whole.npz has no array X_source; it has X, y, site, attributes"),
        (
            {"kind": "domain", "from": "parts.npz", "source": "X_sorce"},
            "unknown array 'X_sorce'; did you mean 'X_source'",
        ),
        ({"kind": "domain", "from": "table.csv", **TABLE, "source": "c"}, "unknown domain 'c'; known are a, b"),
        ({"kind": "domain", "from": "table.csv", **TABLE, "labels": "clas"}, "unknown column 'clas'"),
        ({"kind": "domain", "from": "pictures", "source": "a"}, "target is missing; expected one or several of"),
        ({"kind": "domain", "source": "a.txt"}, "without from and without target"),
        ({"kind": "episode", "from": "table.csv", "labels": "class"}, "column 'site' is not of numbers; say which"),
        ({"kind": "episode", "from": "table.csv", "features": "x"}, "labels are missing; expected labels: NAME"),
        ({"kind": "multitask", "from": "table.csv"}, "targets are missing"),
        ({"kind": "zeroshot", "from": "whole.npz"}, "descriptions are missing"),
        ({"kind": "finetuning"}, "without from and without train"),
        ({"kind": "domain", "from": "parts.npz", "name": "glyphs"}, "'glyphs' is a task of tlzoo"),
    ],
)
def test_mistakes_name_the_file_and_the_column(root, spec, message):
    with pytest.raises(ValueError, match=message):
        load_task(spec, root=root)


def test_damaged_files_are_said(tmp_path):
    for name in ("a.npz", "a.mat", "a.parquet"):
        (tmp_path / name).write_bytes(b"this is no such file")
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            read_columns(tmp_path / name)
    np.savez(tmp_path / "objects.npz", y=np.array(["a", 1], dtype=object))
    with pytest.raises(ValueError, match="array 'y' holds Python objects"):
        read_columns(tmp_path / "objects.npz")
    (tmp_path / "list.txt").write_text("alone\n")
    with pytest.raises(ValueError, match=r"list\.txt:1: 'alone'; expected a path and a label"):
        read_columns(tmp_path / "list.txt")
    (tmp_path / "empty.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"empty\.csv has no rows"):
        read_columns(tmp_path / "empty.csv")


def test_files_of_packages_that_are_not_installed(tmp_path, monkeypatch):
    header = b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(header + b"\x00" * 512)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"version 7.3.*pip install tlzoo\[mat73\]"):
        read_columns(tmp_path / "new.mat")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install tlzoo\[datasets\]"):
        read_columns(tmp_path / "saved")


def test_data_sets_saved_to_disk_become_columns(tmp_path, monkeypatch):
    """With a stand-in for ``datasets``, which the extra installs: its features, splits and decoding."""

    class ClassLabel:
        def int2str(self, label):
            return ("neg", "pos")[label]

    class Picture:
        pass

    class Saved:
        def __init__(self, rows):
            self.rows, self.features = rows, {"image": Picture(), "label": ClassLabel(), "text": object()}

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, key):
            return self.rows[key] if isinstance(key, int) else [row[key] for row in self.rows]

        def select(self, places):
            return Saved([self.rows[place] for place in places])

    def rows(count):
        pictures = [Image.new("RGB", (8, 8), (place, 0, 0)) for place in range(count)]
        return [{"image": each, "label": place % 2, "text": f"text {place}"} for place, each in enumerate(pictures)]

    module = types.ModuleType("datasets")
    module.ClassLabel, module.Image, module.DatasetDict = ClassLabel, Picture, dict
    module.load_from_disk = lambda _: {"train": Saved(rows(6)), "test": Saved(rows(4))}
    module.concatenate_datasets = lambda parts: Saved([row for part in parts for row in part.rows])
    monkeypatch.setitem(sys.modules, "datasets", module)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    task = load_task({"kind": "finetuning", "from": "saved", "images": "image"}, root=tmp_path)
    assert (len(task.target_train), len(task.target_test), task.class_names) == (6, 4, ("neg", "pos"))
    assert task.target_train.inputs[np.array([5])][0, 0, 0].tolist() == [5, 0, 0]
