"""MNIST, USPS and SVHN from files on disk, as torchvision and others lay them out, with their official splits.

Below ``root``: ``train-images-idx3-ubyte`` and its three companions of MNIST, as they are or with ``.gz``, also in
``MNIST/raw``; ``usps.bz2`` and ``usps.t.bz2``, or ``usps.h5``, also in ``USPS``; ``train_32x32.mat`` and
``test_32x32.mat`` of SVHN, also in ``SVHN``.
"""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.datasets.digits import DIGIT_SETS, read_digits
from tlzoo.data.datasets.xlsa17 import read_matlab
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError, MissingPackageError

__all__ = ["DIGIT_FILES", "digit_files", "read_digit_files"]

_TRAIN_SHARE = 0.7
_SIZE, _COLOR_SIZE = 28, 32
_CLASS_NAMES = tuple("0123456789")

Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pictures (N, H, W, C) and labels (N,)."""


class _Collection(NamedTuple):
    """How a collection lies on disk.

    Attributes:
        title: its name.
        folders: where its files may lie below ``root``.
        read: part (``train``, ``test``) and a function that finds a file -> the digits.
        source: where it is to be had.
    """

    title: str
    folders: tuple[str, ...]
    read: Callable[[str, _Find], Digits]
    source: str


_Find = Callable[..., Path]
"""Names of a file -> the first that is there."""


def digit_files(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``digits:S->T`` where one collection is MNIST, USPS or SVHN on disk: the published protocol.

    Methods train on the official training sets of both and are tested on the official test set of the target, as in
    CDAN and SHOT. Pictures keep their frame, resized to 28 pixels a side (bilinear); with SVHN, which is in color, to
    32. The packaged ``mnist5k`` has no official split: 70 % are for training.

    Raises:
        ValueError: a file is missing, which the message says where to get, or damaged.
    """
    size = _COLOR_SIZE if "svhn" in (source, target) else _SIZE
    source_train, source_test = _parts(source, root, size)
    target_train, target_test = _parts(target, root, size)
    return DomainTask(
        name=name,
        class_names=_CLASS_NAMES,
        sources=tuple(each for each in (source, target) if each in DIGIT_SETS),
        source_train=source_train,
        source_test=source_test,
        target_train=target_train,
        target_test=target_test,
    )


def read_digit_files(name: str, root: Path) -> dict[str, Digits]:
    """Return the official parts, ``train`` and ``test``, of a collection on disk.

    Raises:
        ValueError: a file is missing or damaged.
    """
    collection = DIGIT_FILES[name]

    def find(*names: str) -> Path:
        places = [root / folder / each for folder in collection.folders for each in names]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise InputError(
                f"{root} has no {' or '.join(names)} of {collection.title}, here or in {collection.folders[-1]}; it is "
                f"to be had from {collection.source}"
            )
        return found

    return {part: collection.read(part, find) for part in ("train", "test")}


def _parts(name: str, root: Path, size: int) -> Iterator[ExampleSet]:
    """Yield the training and the test set of a collection."""
    if name in DIGIT_SETS:
        pictures, labels = read_digits(name)
        whole = _examples((pictures[..., None], labels), size)
        yield from (whole.subset(part) for part in random_split(len(whole), _TRAIN_SHARE))
    else:
        yield from (_examples(digits, size) for digits in read_digit_files(name, root).values())


def _examples(digits: Digits, size: int) -> ExampleSet:
    pictures, labels = _resized(digits[0], size), digits[1]
    return ExampleSet(inputs=pictures, modality="image", labels=labels, checksum=content_hash(pictures, labels))


def _resized(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return pictures (N, size, size, C)."""
    if pictures.shape[1:3] == (size, size):
        return pictures
    from PIL import Image

    flat = pictures[..., 0] if pictures.shape[-1] == 1 else pictures
    resized = [np.asarray(Image.fromarray(p).resize((size, size), Image.Resampling.BILINEAR)) for p in flat]
    return np.stack(resized).reshape(len(pictures), size, size, -1)


def _read_mnist(part: str, find: _Find) -> Digits:
    prefix = "train" if part == "train" else "t10k"
    pictures, labels = (
        _idx(find(f"{prefix}-{kind}", f"{prefix}-{kind}.gz")) for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    return pictures[..., None], labels.astype(np.int64)


def _idx(file: Path) -> NDArray[np.uint8]:
    """Read MNIST's format: two zeros, the type (8 for bytes), the number of dimensions, these, and the values."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    rank = content[3] if len(content) > 3 and content[:3] == b"\0\0\x08" else 0
    shape = tuple(np.frombuffer(content, dtype=">u4", count=rank, offset=4).tolist()) if rank else ()
    if not rank or len(content) != 4 + 4 * rank + int(np.prod(shape)):
        raise InputError(f"{file} is not a whole idx file of bytes; fetch it again")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _read_usps(part: str, find: _Find) -> Digits:
    """Read USPS: as libsvm's text, values from -1 to 1 and labels from 1; or as HDF5, from 0 to 1 and from 0."""
    file = find("usps.bz2" if part == "train" else "usps.t.bz2", "usps.h5")
    if file.suffix == ".h5":
        values, labels = _hdf5(file, f"{part}/data", f"{part}/target")
    else:
        try:
            text = bz2.decompress(file.read_bytes()).decode("ascii")
        except (OSError, EOFError, ValueError) as error:
            raise InputError(f"{file} cannot be read as bzip2 ({error}); fetch it again") from error
        rows = [line.split() for line in text.splitlines()]
        labels = np.array([int(row[0]) - 1 for row in rows])
        values = (np.array([[entry.partition(":")[2] for entry in row[1:]] for row in rows], dtype=np.float64) + 1) / 2
    if values.shape != (len(labels), 256):
        raise InputError(f"{file}: values of shape {values.shape} and {len(labels)} labels; expected (N, 256)")
    pictures = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return pictures.reshape(-1, 16, 16, 1), labels.astype(np.int64)


def _hdf5(file: Path, *names: str) -> list[NDArray[np.float64]]:
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(
            f"{file} is HDF5, which h5py reads: pip install tlzoo[mat73] (or use usps.bz2 and usps.t.bz2)"
        ) from error
    with h5py.File(file, "r") as content:
        return [np.asarray(content[name], dtype=np.float64) for name in names]


def _read_svhn(part: str, find: _Find) -> Digits:
    content = read_matlab(find(f"{part}_32x32.mat"), ("X", "y"))
    pictures = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2))
    return pictures, content["y"].ravel().astype(np.int64) % 10  # the files count zero as 10


DIGIT_FILES = {
    "mnist": _Collection("MNIST", ("", "MNIST/raw"), _read_mnist, "torchvision.datasets.MNIST(root, download=True)"),
    "usps": _Collection("USPS", ("", "USPS"), _read_usps, "torchvision.datasets.USPS(root, download=True)"),
    "svhn": _Collection(
        "SVHN", ("", "SVHN"), _read_svhn, "torchvision.datasets.SVHN(root, split, download=True) for train and test"
    ),
}
"""Name -> collection on disk."""
