"""QM9 (Ramakrishnan et al., 2014): eleven properties of 130,831 molecules, in PyTorch Geometric's files.

``root`` is the folder of ``torch_geometric.datasets.QM9``: its ``raw/qm9_v3.pt``, which torch alone reads, or its
``processed/data_v3.pt``, which needs torch_geometric.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.errors import InputError
from tlzoo.storage.contents import content_hashes

__all__ = ["qm9"]

_REVISION = 1
_PROPERTIES = {
    **{"mu": 0, "alpha": 1, "homo": 2, "lumo": 3, "r2": 5, "zpve": 6},
    **{"u0": 12, "u": 13, "h": 14, "g": 15, "cv": 11},
}
"""Property -> its column: all but the gap, with energies of atomization, in the order of multitask tables."""
_HELD_OUT = 10_000
_BONDS = 4
_RAW, _PROCESSED = Path("raw/qm9_v3.pt"), Path("processed/data_v3.pt")
_FROM = "torch_geometric.datasets.QM9(root), or https://data.pyg.org/datasets/qm9_v3.zip unpacked in root/raw"

_KEYS = ("x", "pos", "edge_index", "edge_attr", "y")

Arrays = Mapping[str, NDArray[Any]]


def qm9(name: str, *, root: Path) -> MultitaskTask:
    """Build ``qm9``: 10,000 molecules to test, 10,000 to validate, by a fixed seed; of smaller copies, a tenth each.

    Raises:
        ValueError: the files are missing, which the message says where to get, hold something else, or need
            torch_geometric, which is not installed.
    """
    file = next((root / own for own in (_RAW, _PROCESSED) if (root / own).is_file()), None)
    if file is None:
        raise InputError(f"{root} has neither {_RAW} nor {_PROCESSED}; QM9 is to be had from {_FROM}")
    if file.name == _PROCESSED.name and importlib.util.find_spec("torch_geometric") is None:
        raise InputError(
            f"{file} is read with torch_geometric, which is not installed: pip install torch_geometric; or give "
            f"{_RAW}, which torch alone reads"
        )
    identity = content_hash(_REVISION, "qm9", content_hashes(file.parent, [file])[file.name])

    def write(made: Path) -> None:
        for column, array in _read(file).items():
            np.save(made / f"{column}.npy", array)

    made = derived_folder("qm9", identity, write)
    columns = ("atoms", "positions", "ends", "kinds", "properties", "first_atom", "first_bond")
    arrays = {column: np.load(made / f"{column}.npy", mmap_mode="c") for column in columns}
    count = len(arrays["properties"])
    order, held_out = np.random.default_rng(0).permutation(count), min(_HELD_OUT, count // 10)
    values = {own: arrays["properties"][:, place].astype(np.float64) for own, place in _PROPERTIES.items()}
    whole = ExampleSet(inputs=_Molecules(arrays), modality="features", targets=values, checksum=identity)
    test, validation, train = np.split(order, [held_out, 2 * held_out])
    targets = {
        own: Target(classes=0, center=float(value[train].mean()), spread=float(value[train].std()))
        for own, value in values.items()
    }
    return MultitaskTask(
        name=name,
        targets=targets,
        train=whole.subset(train),
        validation=whole.subset(validation),
        test=whole.subset(test),
    )


class _Molecules:
    """Molecules as arrays (M, 11 + 3 + 4 M), padded to the largest, made when they are read."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._size = int(np.diff(arrays["first_atom"]).max())

    def __len__(self) -> int:
        return len(self._arrays["properties"])

    def __getitem__(self, indices: Any) -> NDArray[np.float32]:
        rows = np.atleast_1d(np.arange(len(self))[indices])
        width = self._arrays["atoms"].shape[1]
        found = np.zeros((len(rows), self._size, width + 3 + _BONDS * self._size), dtype=np.float32)
        for out, row in zip(found, rows, strict=True):
            first, end = self._arrays["first_atom"][row : row + 2]
            out[: end - first, :width] = self._arrays["atoms"][first:end]
            out[: end - first, width : width + 3] = self._arrays["positions"][first:end]
            first, end = self._arrays["first_bond"][row : row + 2]
            one, other = self._arrays["ends"][:, first:end]
            bonds = np.zeros((self._size, self._size, _BONDS), dtype=np.float32)
            bonds[one, other] = self._arrays["kinds"][first:end]
            out[:, width + 3 :] = bonds.reshape(self._size, -1)
        return found[0] if np.ndim(np.arange(len(self))[indices]) == 0 else found


def _read(file: Path) -> Arrays:
    """Return the arrays of a file, molecules one after the other, and where each begins."""
    import torch

    try:
        if file.name == _PROCESSED.name:
            importlib.import_module("torch_geometric.data")  # its classes may then be read
            columns, places, *_ = torch.load(file, weights_only=True)
            parts = {key: columns[key].numpy() for key in _KEYS}
            first = {key: places[key].numpy() for key in ("x", "edge_attr")}
        else:
            molecules: list[dict[str, Any]] = torch.load(file, weights_only=True)
            split = {key: [own[key].numpy() for own in molecules] for key in _KEYS}
            parts = {key: np.concatenate(own, axis=int(key == "edge_index")) for key, own in split.items()}
            first = {key: np.cumsum([0, *map(len, split[key])]) for key in ("x", "edge_attr")}
    except Exception as error:  # a damaged file, or one of something else, fails anywhere
        raise InputError(f"{file} holds no molecules of QM9; it is to be had from {_FROM}") from error
    return {
        "atoms": parts["x"].astype(np.float32),
        "positions": parts["pos"].astype(np.float32),
        "ends": parts["edge_index"].astype(np.int16),
        "kinds": parts["edge_attr"].astype(np.uint8),
        "properties": parts["y"].astype(np.float64),
        "first_atom": first["x"],
        "first_bond": first["edge_attr"],
    }
