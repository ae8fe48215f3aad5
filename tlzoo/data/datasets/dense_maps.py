"""NYUv2 and Cityscapes in LibMTL's layout: segmentation, depth and, of NYUv2, surface normals at every position.

``root`` has ``train`` and ``val``, in each ``image``, ``label``, ``depth`` (and ``normal``) with ``0.npy``, ``1.npy``:
pictures (H, W, 3) in [0, 1], classes (H, W) with -1 where unknown, depths (H, W, 1) with 0 where unknown, and unit
vectors (H, W, 3) with 0 where unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.readers.plain_files import read_array
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.errors import InputError
from tlzoo.storage.contents import content_hashes

__all__ = ["TARGETS", "dense_maps"]

_REVISION = 1
_TRAIN_SHARE = 0.9
TARGETS: dict[str, dict[str, Target]] = {
    "nyuv2": {
        "segmentation": Target(classes=13, kind="dense"),
        "depth": Target(classes=0, kind="dense"),
        "normal": Target(classes=0, kind="normals"),
    },
    "cityscapes": {
        "segmentation": Target(classes=7, kind="dense"),
        "depth": Target(classes=0, kind="dense"),
    },
}
"""Set -> its targets."""
_SOURCES = {
    "nyuv2": "the link in https://github.com/median-research-group/LibMTL, examples/nyu",
    "cityscapes": "the link in https://github.com/median-research-group/LibMTL, examples/cityscapes",
}

Map = NDArray[Any]


def dense_maps(name: str, *, root: Path, dataset: str) -> MultitaskTask:
    """Build ``nyuv2`` or ``cityscapes``: tested on ``val``, as in published tables; a tenth of ``train`` validates.

    Depth of Cityscapes is inverse, as it lies there.

    Raises:
        ValueError: a folder is missing, which the message says where to get, or a file has another shape.
    """
    targets = TARGETS[dataset]
    train, test = (_part(root / part, dataset, targets) for part in ("train", "val"))
    shown, held_out = random_split(len(train), _TRAIN_SHARE)
    return MultitaskTask(
        name=name,
        targets=targets,
        train=train.subset(shown),
        validation=train.subset(held_out),
        test=test,
    )


def _segmentation(array: Map) -> Map:
    return np.where(array < 0, -1, array).astype(np.int8)


def _depth(array: Map) -> Map:
    depth = array.reshape(array.shape[:2]).astype(np.float32)
    return np.where(depth == 0, np.float32(np.nan), depth)


def _picture(array: Map) -> Map:
    return np.rint(array.astype(np.float64) * 255).clip(0, 255).astype(np.uint8)


_READERS: dict[str, tuple[str, Callable[[Map], Map]]] = {
    "picture": ("image", _picture),
    "segmentation": ("label", _segmentation),
    "depth": ("depth", _depth),
    "normal": ("normal", lambda array: np.moveaxis(array, -1, 0).astype(np.float32)),
}
"""Array -> folder of its files, and how one of them is read."""


def _part(folder: Path, dataset: str, targets: dict[str, Target]) -> ExampleSet:
    """Return a part; its files are brought into one array each once, and then read from the cache."""
    names = ["picture", *targets]
    files = {name: _files(folder / _READERS[name][0], dataset) for name in names}
    counts = {len(each) for each in files.values()}
    if len(counts) > 1:
        raise InputError(f"{folder} has {sorted(counts)} files of each kind; expected the same number: unpack it again")
    hashes = content_hashes(folder, [file for each in files.values() for file in each])
    identity = content_hash(_REVISION, dataset, sorted(hashes.items()))

    def write(made: Path) -> None:
        for name in names:
            read = _READERS[name][1]
            first = read(read_array(files[name][0]))
            shape = (len(files[name]), *first.shape)
            whole = np.lib.format.open_memmap(made / f"{name}.npy", mode="w+", dtype=first.dtype, shape=shape)
            for place, file in enumerate(files[name]):
                array = read(read_array(file))
                if array.shape != first.shape:
                    raise InputError(f"{file} has shape {array.shape}, others {first.shape}; expected one for all")
                whole[place] = array
            whole.flush()

    made = derived_folder(f"{dataset}-{folder.name}", identity, write)
    # torch warns of arrays that it may not write to
    arrays = {name: np.load(made / f"{name}.npy", mmap_mode="c") for name in names}
    pictures = arrays.pop("picture")
    return ExampleSet(inputs=pictures, modality="image", targets=arrays, checksum=identity)


def _files(folder: Path, dataset: str) -> list[Path]:
    found = sorted(folder.glob("*.npy"), key=lambda file: (len(file.stem), file.stem))
    if not found:
        raise InputError(f"{folder} has no 0.npy, 1.npy ...; {dataset} is to be had from {_SOURCES[dataset]}")
    return found
