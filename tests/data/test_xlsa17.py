"""On a generated copy of the layout: 6 classes, 1 and 2 seen, 3 held out, 4 (seen) tested too, 5 and 6 unseen."""

import numpy as np
import pytest
import yaml
from scipy.io import savemat

import tlzoo
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task

LABELS = np.repeat(np.arange(1, 7), 5)
NAMES = np.array(["ant", "bee", "cat", "dog", "elk", "fox"], dtype=object)[:, None]


def places(*rows):
    return np.array(rows, dtype=np.float64)[:, None] + 1  # MATLAB counts from 1, in doubles


SPLITS = {
    "att": np.random.default_rng(0).random((4, 6)),
    "allclasses_names": NAMES,
    # image 4 is of the test: an early release has such ones among its training images
    "train_loc": places(0, 1, 4, 5, 6, 15, 16),
    "val_loc": places(10, 11),
    "trainval_loc": places(0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18),
    "test_seen_loc": places(4, 9, 14, 19),
    "test_unseen_loc": places(*range(20, 30)),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "TOY").mkdir()
    features = np.arange(30)[None] + np.arange(3)[:, None] / 10
    savemat(tmp_path / "TOY" / "res101.mat", {"features": features, "labels": LABELS[:, None].astype(np.float64)})
    savemat(tmp_path / "TOY" / "att_splits.mat", SPLITS)
    return tmp_path


def changed(root, **entries):
    splits = {name: value for name, value in (SPLITS | entries).items() if value is not None}
    savemat(root / "TOY" / "att_splits.mat", splits)


def test_the_proposed_split(root):
    task = load_task("xlsa17:TOY", root=root)
    assert task.class_names == tuple(NAMES.ravel())
    assert (task.seen.tolist(), task.held_out.tolist(), task.unseen.tolist()) == ([0, 1, 3], [2], [4, 5])
    assert np.unique(task.train.labels).tolist() == [0, 1, 3]
    assert set(task.validation.labels.tolist()) == {2}
    assert np.bincount(task.test.labels).tolist() == [0, 0, 0, 0, 5, 5]
    assert task.test_seen is None
    assert task.embeddings.shape == (6, 4)
    np.testing.assert_allclose(task.embeddings[2], SPLITS["att"][:, 2], rtol=1e-6)
    assert task.test.inputs[np.array([0])].tolist() == [pytest.approx([20.0, 20.1, 20.2])]


def test_no_image_of_the_test_is_trained_on(root):
    task = load_task("xlsa17:TOY:generalized", root=root)
    trained = {row[0] for part in (task.train, task.validation) for row in part.inputs[np.arange(len(part))].tolist()}
    assert trained == {0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18}
    assert task.test_seen.inputs[np.arange(4)][:, 0].tolist() == [4, 9, 14, 19]
    assert task.candidates.tolist() == [0, 1, 2, 3, 4, 5]
    assert load_task("xlsa17:TOY", root=root).checksum != task.checksum


def test_attributes_are_part_of_the_identity(root):
    before = load_task("xlsa17:TOY", root=root).checksum
    changed(root, att=SPLITS["att"] + 1)
    assert load_task("xlsa17:TOY", root=root).checksum != before


def test_classes_without_names_are_numbered(root):
    changed(root, allclasses_names=None)
    assert load_task("xlsa17:TOY", root=root).class_names[:2] == ("class 1", "class 2")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"att": None}, "att_splits.mat has no att; it holds"),
        ({"test_seen_loc": None, "val_loc": None}, "has no val_loc and no test_seen_loc"),
        ({"test_unseen_loc": places(30)}, "test_unseen_loc is empty or points beyond the 30 images"),
        ({"test_unseen_loc": places(0, 25)}, r"classes \[1\] are both seen and unseen"),
        ({"att": np.ones((4, 5))}, "labels from 1 to 6 for 5 rows of attributes"),
        ({"att": np.full((4, 6), np.nan)}, "NaN or Inf in the embeddings of classes 'ant' .0., 'bee'"),
    ],
)
def test_damaged_splits(root, entries, message):
    changed(root, **entries)
    with pytest.raises(ValueError, match=message):
        load_task("xlsa17:TOY:generalized", root=root)


def test_damaged_files_and_wrong_names(root):
    with pytest.raises(ValueError, match="unknown data set 'TOI'; did you mean 'TOY'"):
        load_task("xlsa17:TOI", root=root)
    with pytest.raises(ValueError, match=r"expected DATASET/res101\.mat"):
        load_task("xlsa17:TOY", root=root / "TOY")
    with pytest.raises(ValueError, match="give root, the folder that holds TOY/"):
        load_task("xlsa17:TOY")
    with pytest.raises(ValueError, match="write xlsa17:DATASET or xlsa17:DATASET:generalized"):
        load_task("xlsa17:TOY:general", root=root)
    (root / "TOY" / "res101.mat").write_bytes(b"<html>not found</html>" * 20)
    with pytest.raises(ValueError, match=r"res101\.mat cannot be read as a MATLAB file"):
        load_task("xlsa17:TOY", root=root)


def test_the_suite_runs_in_small_beside_published_values(root, tmp_path):
    suite = yaml.safe_load(find_suite("xlsa17").read_text(encoding="utf-8"))
    for group, suffix in zip(suite["groups"], ("", ":generalized"), strict=True):
        group["tasks"] = [f"xlsa17:TOY{suffix}"]
        group["methods"] = [row for row in group["methods"] if row in ("sje", "ale") or "ridge" in str(row)]
        group["budget"] = {"steps": 2, "batch_size": 4}
    run = tlzoo.run_suite(
        {**suite, "seeds": 1}, store=tmp_path / "store", root=root, executor="in_process", progress=False
    )
    assert not run.failures()
    first, second = run.plan.suite.groups
    assert (first.metric, second.metric) == ("test/per_class", "test/harmonic")
    frame = run.to_dataframe()
    assert len(frame) == 6
    generalized = frame[frame["task"] == "xlsa17:TOY:generalized"]
    assert generalized[["test/harmonic", *second.columns]].notna().all(axis=None)
    assert "Xian et al., TPAMI 2018" in run.render("markdown")
