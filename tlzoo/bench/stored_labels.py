"""Labels of stored predictions, found in the task by the hash of the split instead of being stored."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import tlzoo
from tlzoo.bench.cell import Cell
from tlzoo.storage import home, keep_file

__all__ = ["Labels"]

Found: TypeAlias = NDArray[np.int64]

_MISSING = -1


class Labels:
    """Labels of stored predictions.

    Labels found once are cached on disk (``tlzoo data list`` shows where), so a report does not load their task again.
    This object also remembers splits that a task does not have.
    """

    def __init__(self) -> None:
        self._splits: dict[tuple[str, str], dict[str, Found]] = {}
        self._known: dict[tuple[str, str], Found] = {}

    def find(self, cell: Cell, prediction: str, split: str) -> Found | None:
        """Return the labels (N,) of a prediction, with -1 for unknown ones; None if its task has no such split.

        Args:
            cell: the cell of the prediction.
            prediction: name of the prediction; with several targets, it ends with the target's name (``test_left``).
            split: hash of the examples.

        Raises:
            Exception: the task cannot be loaded (no network, another folder).
        """
        target = prediction.removeprefix("test_")
        key = split, target
        if key not in self._known:
            path = home() / "labels" / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.npy"
            found = _kept(path)
            if found is None:
                found = self._of_task(cell, target).get(split)
                if found is None:
                    return None
                _keep(path, found)
            self._known[key] = found
        return self._known[key]

    def _of_task(self, cell: Cell, target: str) -> dict[str, Found]:
        key = cell.task_checksum, target
        if key not in self._splits:
            self._splits[key] = dict(_splits(cell, target))
        return self._splits[key]


def _kept(path: Path) -> Found | None:
    try:
        found: Found = np.load(path, allow_pickle=False)
    except (OSError, ValueError):  # not there, or torn
        return None
    return found


def _keep(path: Path, labels: Found) -> None:
    buffer = io.BytesIO()
    np.save(buffer, labels, allow_pickle=False)
    keep_file(path, buffer.getvalue())


def _splits(cell: Cell, target: str) -> Iterator[tuple[str, Found]]:
    from tlzoo.data.example_set import split_hash

    task: Any = tlzoo.load_task(cell.given_task, root=cell.root) if cell.root else tlzoo.load_task(cell.given_task)
    for examples in task.sets().values():
        labels = examples.targets.get(target, examples.labels)
        if labels is not None and labels.dtype.kind == "i":
            yield split_hash(examples), np.where(labels < 0, _MISSING, labels).astype(np.int64)
