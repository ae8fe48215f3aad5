"""Finished cells on disk, as one pair of files each; a kill at any point loses no finished cell.

``<hash>.npz`` holds the predictions and is written first. ``<hash>.json`` holds everything else and is written last:
its presence is the commit. Both are written to a temporary file, synced and renamed. There is no shared file, so
several runs may fill one store, also on NFS; one lock per cell only keeps them from running a cell twice. Files that
cannot be read, do not match their digest, or hold another cell than their name says count as missing, and the cell runs
again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.cell import Cell, Outcome, canonical_plain
from tlzoo.errors import InputError, MissingFileError
from tlzoo.spelling import printable
from tlzoo.storage import claim, replace_file, sweep

__all__ = ["Failure", "Record", "Store"]

_STALE_SECONDS = 3600.0
_TOP = 20
_MANY_CLASSES = 256


@dataclass(frozen=True, kw_only=True)
class Record:
    """A finished cell as read back.

    Attributes:
        cell: the cell.
        metrics: name -> value.
        curves: name -> one value per checkpoint.
        receipt: what the method saw.
        series: plots by name.
        splits: prediction name -> hash of its examples.
        provenance: commit, versions, host and times, which are not part of the identity.
    """

    cell: Cell
    metrics: Mapping[str, float]
    curves: Mapping[str, list[float]]
    receipt: Mapping[str, Any]
    series: Mapping[str, Mapping[str, list[float]]]
    splits: Mapping[str, str]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that ended in an error, with the whole traceback."""

    cell: Cell
    traceback: str
    provenance: Mapping[str, Any]

    @property
    def last_line(self) -> str:
        """The error in one line."""
        lines = [line for line in self.traceback.splitlines() if line.strip()]
        return printable(lines[-1].strip()) if lines else "unknown error"


class Store:
    """Outcomes of cells below one folder.

    Args:
        root: created on the first write.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._folder = str(self.root)
        self._read: dict[str, tuple[tuple[int, ...] | None, Record | None]] = {}

    def write(self, cell: Cell, outcome: Outcome, provenance: Mapping[str, Any] | None = None) -> None:
        """Store a finished cell and remove an earlier failure of it.

        The bytes of the ``.npz`` and of the ``result`` in the ``.json`` depend only on the outcome.
        """
        arrays = _packed(outcome.predictions)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        result = {
            "metrics": _encoded(outcome.metrics),
            "curves": _encoded(outcome.curves),
            "receipt": _encoded(outcome.receipt),
            # columns have an order, but canonical JSON sorts keys, so they are kept as pairs
            "series": {name: _encoded(list(columns.items())) for name, columns in outcome.series.items()},
            "splits": dict(outcome.splits),
            "predictions": hashlib.sha256(buffer.getvalue()).hexdigest(),
        }
        payload = {"cell": cell.to_json(), "result": result, "provenance": _encoded(provenance or {})}
        replace_file(self.root / f"{cell.hash}.npz", buffer.getvalue())
        replace_file(self.root / f"{cell.hash}.json", _sealed(payload))
        with contextlib.suppress(FileNotFoundError):
            (self.root / f"{cell.hash}.failed.json").unlink()

    def write_failure(self, cell: Cell, traceback: str, provenance: Mapping[str, Any] | None = None) -> None:
        """Store why a cell failed; a finished cell stays finished."""
        payload = {"cell": cell.to_json(), "traceback": traceback, "provenance": _encoded(provenance or {})}
        replace_file(self.root / f"{cell.hash}.failed.json", _sealed(payload))

    def read(self, cell: Cell | str) -> Record | None:
        """Return a finished cell (or the cell of that hash), or None if it is missing, torn or corrupt."""
        key = cell if isinstance(cell, str) else cell.hash
        state = self._state(key)
        if key not in self._read or self._read[key][0] != state:
            self._read[key] = state, self._read_pair(key) if state else None
        return self._read[key][1]

    def _path(self, name: str) -> str:
        """Return the path of a file as text: a suite has thousands, and making a Path takes longer than its stat."""
        return os.path.join(self._folder, name)

    def _bytes(self, name: str) -> bytes:
        with open(self._path(name), "rb") as file:
            return file.read()

    def _state(self, key: str) -> tuple[int, ...] | None:
        """Return a value that identifies the version of a pair of files, or None if one is missing."""
        try:
            stats = [os.stat(self._path(key + suffix)) for suffix in (".json", ".npz")]  # see _path
        except OSError:
            return None
        return tuple(number for s in stats for number in (s.st_mtime_ns, s.st_size, s.st_ino))

    def _read_pair(self, key: str) -> Record | None:
        payload = self._unsealed(f"{key}.json")
        try:
            data = self._bytes(f"{key}.npz")
            if payload is None or hashlib.sha256(data).hexdigest() != payload["result"]["predictions"]:
                return None
            record = _record(payload)
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            return None  # gone, or written by another version of the schema
        return record if record.cell.hash == key else None  # another cell's files under this name

    def predictions(self, cell: Cell | str) -> dict[str, NDArray[Any]]:
        """Return the stored arrays of a finished cell; see :func:`_packed` for their form.

        Raises:
            FileNotFoundError: the cell is not in the store, or its predictions are corrupt.
        """
        key = cell if isinstance(cell, str) else cell.hash
        if self.read(key) is None:
            raise MissingFileError(f"no intact predictions of cell {key} in {self.root}; run it again")
        with np.load(self.root / f"{key}.npz", allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    def failure(self, cell: Cell | str) -> Failure | None:
        """Return why a cell failed, or None if it did not fail or has finished since."""
        key = cell if isinstance(cell, str) else cell.hash
        payload = self._unsealed(f"{key}.failed.json")
        if payload is None or self.read(key) is not None:
            return None
        try:
            found = Failure(
                cell=Cell.from_json(payload["cell"]),
                traceback=str(payload["traceback"]),
                provenance=dict(payload["provenance"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return found if found.cell.hash == key else None

    def finished(self, cells: Iterable[Cell]) -> dict[Cell, Record]:
        """Return the finished ones among ``cells``."""
        found = ((cell, self.read(cell)) for cell in cells)
        return {cell: record for cell, record in found if record is not None}

    def files(self, cell: Cell) -> dict[str, bytes]:
        """Return the files of a cell by name, in the order in which they must be written; see :meth:`adopt`."""
        names = [f"{cell.hash}{suffix}" for suffix in (".npz", ".json", ".failed.json")]
        return {name: (self.root / name).read_bytes() for name in names if (self.root / name).is_file()}

    def adopt(self, files: Mapping[str, bytes]) -> None:
        """Write the files of a cell from another store, which came over a network."""
        for name, data in files.items():
            replace_file(self.root / name, data)
        for name in files:
            if not name.endswith(".failed.json") and name.endswith(".json"):
                with contextlib.suppress(FileNotFoundError):
                    (self.root / f"{name.removesuffix('.json')}.failed.json").unlink()

    def claim(self, cell: Cell) -> Callable[[], None] | None:
        """Take the lock of a cell; see :func:`tlzoo.storage.claim`."""
        return claim(self.root / cell.hash)

    def probe(self) -> None:
        """Make and remove a file.

        Raises:
            OSError: results cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"results can be written")
        except OSError as error:
            raise OSError(
                error.errno,
                f"results cannot be written to {self.root} ({error.strerror}); choose another folder (--store)",
            ) from error

    def clean(self) -> int:
        """Remove temporary files that killed runs left more than an hour ago; return their number."""
        return sweep(self.root, older_than=_STALE_SECONDS)

    def _unsealed(self, name: str) -> dict[str, Any] | None:
        try:
            sealed = json.loads(self._bytes(name))
            payload = sealed["payload"]
            intact = sealed["digest"] == _digest(payload)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return payload if intact and isinstance(payload, dict) else None


def _record(payload: Mapping[str, Any]) -> Record:
    """Return what was stored.

    Raises:
        ValueError: an entry that tables read is of another type than this version writes; likewise other errors.
    """
    result, cell = payload["result"], Cell.from_json(payload["cell"])
    receipt, provenance = dict(result["receipt"]), dict(payload["provenance"])
    seconds = provenance.get("seconds")
    sees = receipt.get("sees", [])
    well_formed = (
        all(isinstance(text, str) for text in (cell.label, cell.task, cell.method))
        and isinstance(sees, list)
        and all(isinstance(each, str) for each in sees)
        and isinstance(receipt.get("declared", True), bool)
        and all(isinstance(receipt.get(name, 0), int | float) for name in ("trials", "parameters"))
        and isinstance(provenance.get("versions", {}), dict)
        and (seconds is None or isinstance(seconds, int | float))
    )
    if not well_formed:
        raise InputError("not written by this version of tlzoo")
    return Record(
        cell=cell,
        metrics={name: float(value) for name, value in result["metrics"].items()},
        curves={name: [float(v) for v in values] for name, values in result["curves"].items()},
        receipt=receipt,
        series={
            name: {column: [float(v) for v in values] for column, values in columns}
            for name, columns in result["series"].items()
        },
        splits=dict(result["splits"]),
        provenance=provenance,
    )


def _digest(payload: Any) -> str:
    return hashlib.sha256(canonical_plain(payload).encode()).hexdigest()


def _sealed(payload: Mapping[str, Any]) -> bytes:
    text = json.dumps({"digest": _digest(payload), "payload": payload}, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"


def _encoded(value: Any) -> Any:
    """Return JSON data: arrays and NumPy scalars as Python values, floats that JSON lacks as strings."""
    if isinstance(value, Mapping):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _encoded(value.tolist())
    if isinstance(value, (set, frozenset)):
        return sorted(_encoded(list(value)))
    if isinstance(value, (list, tuple)):
        return [_encoded(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _packed(predictions: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the stored form of predictions.

    Floats become float16 unless one of them would overflow. Of scores (N, C) over more than 256 classes, the best 20
    are kept, best first, with their classes under ``<name>#classes``. Protocols add the labels of the examples and
    their places in the raw set, ``<name>#labels`` and ``<name>#ids``.
    """
    packed: dict[str, NDArray[Any]] = {}
    for name, array in sorted(predictions.items()):
        kept = array
        if array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] > _MANY_CLASSES:
            order = np.argsort(-array, axis=1, kind="stable")[:, :_TOP]
            packed[f"{name}#classes"] = order.astype(np.int32)
            kept = np.take_along_axis(array, order, axis=1)
        if kept.dtype.kind == "f":
            largest = float(np.max(np.abs(kept), initial=0.0, where=np.isfinite(kept)))
            kept = kept.astype(np.float16 if largest < float(np.finfo(np.float16).max) else np.float32)
        packed[name] = kept
    return packed
