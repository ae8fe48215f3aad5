"""MNIST, USPS and SVHN on disk, on generated copies of their layouts."""

import bz2
import gzip
import struct

import numpy as np
import pytest
import yaml
from scipy.io import savemat

import tlzoo
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import list_tasks, load_task
from tlzoo.data.datasets.digit_files import read_digit_files

COUNTS = {"train": 20, "test": 10}


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def digits(part, size, channels=()):
    random = np.random.default_rng(len(part) + size)
    return random.integers(256, size=(COUNTS[part], size, size, *channels), dtype=np.uint8), np.arange(
        COUNTS[part]
    ) % 10


@pytest.fixture
def root(tmp_path):
    raw = tmp_path / "MNIST/raw"
    raw.mkdir(parents=True)
    for part, mnist, usps in (("train", "train", "usps.bz2"), ("test", "t10k", "usps.t.bz2")):
        pictures, labels = digits(part, 28)
        (raw / f"{mnist}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures)))
        (raw / f"{mnist}-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))
        pictures, labels = digits(part, 16)
        values = pictures.reshape(-1, 256) / 255 * 2 - 1
        rows = [
            f"{label + 1} " + " ".join(f"{place + 1}:{value:.6f}" for place, value in enumerate(row))
            for label, row in zip(labels, values, strict=True)
        ]
        (tmp_path / usps).write_bytes(bz2.compress("\n".join(rows).encode()))
        pictures, labels = digits(part, 32, (3,))
        savemat(tmp_path / f"{part}_32x32.mat", {"X": pictures.transpose(1, 2, 3, 0), "y": (labels + 9) % 10 + 1})
    return tmp_path


@pytest.mark.parametrize("name", ["mnist", "usps", "svhn"])
def test_files_hold_the_official_parts(root, name):
    size, channels = {"mnist": (28, ()), "usps": (16, ()), "svhn": (32, (3,))}[name]
    for part, (pictures, labels) in read_digit_files(name, root).items():
        expected, wanted = digits(part, size, channels)
        np.testing.assert_array_equal(pictures.reshape(expected.shape), expected)
        if name == "svhn":
            wanted = (wanted + 9) % 10 + 1  # as the file has it: zero is 10
            wanted = wanted % 10
        assert labels.tolist() == wanted.tolist()


def test_usps_is_what_torchvision_reads(root):
    from torchvision.datasets import USPS

    pictures, labels = read_digit_files("usps", root)["train"]
    theirs = USPS(str(root))
    assert labels.tolist() == theirs.targets
    # torchvision cuts the decimals off
    assert np.abs(pictures[..., 0].astype(int) - theirs.data).max() <= 1


def test_usps_as_hdf5(root):
    h5py = pytest.importorskip("h5py")
    found = read_digit_files("usps", root)
    for file in root.glob("usps*"):
        file.unlink()
    with h5py.File(root / "usps.h5", "w") as file:
        for part, (pictures, labels) in found.items():
            file[f"{part}/data"] = pictures.reshape(-1, 256).astype(np.float32) / 255
            file[f"{part}/target"] = labels
    for part, (pictures, labels) in read_digit_files("usps", root).items():
        np.testing.assert_array_equal(pictures, found[part][0])
        np.testing.assert_array_equal(labels, found[part][1])


def test_methods_train_and_are_tested_on_official_parts(root):
    task = load_task("digits:mnist->usps", root=root)
    assert [len(examples) for examples in task.sets().values()] == [20, 10, 20, 10]
    assert task.target_test.inputs[np.arange(1)].shape == (1, 28, 28, 1)
    np.testing.assert_array_equal(task.source_train.inputs[np.arange(20)][..., 0], digits("train", 28)[0])
    colored = load_task("digits:svhn->mnist", root=root)
    assert colored.source_train.inputs[np.arange(1)].shape == (1, 32, 32, 3)
    assert colored.target_train.inputs[np.arange(1)].shape == (1, 32, 32, 1)
    names = [name for name in list_tasks("domain") if name.startswith("digits:")]
    assert len(names) == 10
    assert "digits:mnist5k->usps" in names


def test_what_is_missing_or_damaged_is_named(root):
    (root / "usps.t.bz2").unlink()
    with pytest.raises(ValueError, match=r"no usps\.t\.bz2 or usps\.h5 of USPS.*torchvision\.datasets\.USPS"):
        load_task("digits:mnist->usps", root=root)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds MNIST/raw/train-images"):
        load_task("digits:mnist->usps")
    file = root / "MNIST/raw/t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte is not a whole idx file"):
        read_digit_files("mnist", root)


def test_the_suite_runs_in_small(root):
    suite = yaml.safe_load(find_suite("mnist-usps").read_text(encoding="utf-8"))
    (group,), suite["seeds"] = suite["groups"], 1
    group["methods"], group["budget"] = ["source_only", "shot", "target_only"], {"steps": 1, "batch_size": 10}
    run = tlzoo.run_suite(suite, store=root / "store", root=root, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    assert len(run.to_dataframe()) == 6
    assert "Liang et al., ICML 2020" in run.render("markdown")
