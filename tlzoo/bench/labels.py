"""Labels of stored predictions: they are not stored with them, but found again in the task by the split's hash."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tlzoo
from tlzoo.bench.cell import Cell
from tlzoo.bench.store import replace_file
from tlzoo.sources.cache import home

__all__ = ["find_labels"]

_MISSING = -1


def find_labels(cell: Cell, prediction: str, split: str) -> NDArray[np.int64] | None:
    """Return the labels (N,) of a stored prediction, -1 where unknown; None where its task has no such split.

    They are kept in the cache, so that a report loads no task twice.

    Args:
        cell: whose prediction it is.
        prediction: its name; of a set with several targets, the one that the name ends with (``test_left``).
        split: hash of the examples.

    Raises:
        Exception: whatever keeps the task from being loaded (no network, another folder).
    """
    target = prediction.removeprefix("test_")
    path = home() / "labels" / f"{split}-{target}.npy"
    if not path.is_file():
        found = dict(_splits(cell, target)).get(split)
        if found is None:
            return None
        buffer = io.BytesIO()
        np.save(buffer, found, allow_pickle=False)
        replace_file(path, buffer.getvalue())
    labels: NDArray[np.int64] = np.load(path, allow_pickle=False)
    return labels


def _splits(cell: Cell, target: str) -> Iterator[tuple[str, NDArray[np.int64]]]:
    from tlzoo.bench.protocols.training import split_hash

    task: Any = tlzoo.load_task(cell.task, root=cell.root) if cell.root else tlzoo.load_task(cell.task)
    for examples in task.sets().values():
        labels = examples.targets.get(target, examples.labels)
        if labels is not None and labels.dtype.kind == "i":
            yield split_hash(examples), np.where(labels < 0, _MISSING, labels).astype(np.int64)
