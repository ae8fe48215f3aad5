"""What a specification picks out of files: items with labels, domains and splits, or arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.own.items import listed_items
from tlzoo.data.readers import Columns
from tlzoo.data.readers.picture_folders import SPLITS
from tlzoo.errors import InputError
from tlzoo.types import Modality

__all__ = ["INPUTS", "Rows", "named_arrays", "rows_of", "taken"]

INPUTS: dict[str, Modality | None] = {
    "features": "features",
    "text": "text",
    "path": "image",
    "images": "image",
    "series": "series",
}
"""Key that names the items -> their modality."""

_ARRAYS = {"items": ("X", "x", "features"), "labels": ("y", "labels", "label")}


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a file.

    Attributes:
        items: one a row.
        labels: one a row, or None.
        domains: (N,) names, or None.
        splits: (N,) of ``train``, ``validation`` and ``test``, or None.
        columns: all columns of the file.
    """

    items: Any
    labels: Any
    domains: NDArray[Any] | None
    splits: NDArray[Any] | None
    columns: Columns

    def __len__(self) -> int:
        return len(self.items)

    def of(self, rows: NDArray[Any]) -> tuple[Any, Any]:
        """Return the items and labels of some rows, given by a mask or by place."""
        return taken(self.items, rows), None if self.labels is None else taken(self.labels, rows)

    def part(self, split: str, among: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Return which rows are of a split; of the training, if there are no splits."""
        every = np.ones(len(self), dtype=bool) if among is None else among
        if self.splits is None:
            return every if split == "train" else np.zeros(len(self), dtype=bool)
        inside: NDArray[np.bool_] = every & (self.splits == split)
        return inside


def taken(column: Any, rows: NDArray[Any]) -> Any:
    """Return some rows of an array, a list, or a column of any kind."""
    places = np.flatnonzero(rows) if rows.dtype == bool else rows
    if isinstance(column, np.ndarray):
        return column[places]
    if hasattr(column, "iloc"):
        return column.iloc[places]
    if hasattr(column, "take"):
        return column.take(places)
    return [column[place] for place in places]


def rows_of(columns: Columns, spec: Mapping[str, Any], *, used: Sequence[str] = ()) -> Rows:
    """Return the rows that a specification describes.

    Args:
        columns: of the file.
        spec: names the columns: one of :data:`INPUTS`, ``labels``, ``domain``, ``split``.
        used: further columns that are no features.

    Raises:
        ValueError: a column does not exist, or which columns are the items does not follow.
    """
    for name in used:
        columns[name]  # one that does not exist is named, with the nearest
    roles = {role: spec.get(role, columns.roles.get(role)) for role in ("labels", "domain", "split")}
    if not columns.is_table and roles["labels"] is None:
        roles["labels"] = next((name for name in _ARRAYS["labels"] if name in columns.columns), None)
    labels = None if roles["labels"] is None else columns[roles["labels"]]
    domains, splits = (None if roles[role] is None else _names(columns[roles[role]]) for role in ("domain", "split"))
    taken_already = {*used, *(str(name) for name in roles.values() if name is not None)}
    items = _items(columns, spec, taken_already)
    if columns.path.suffix == ".mat" and labels is not None and len(items) != len(labels) == items.shape[-1]:
        items = items.T  # MATLAB keeps an example in a column
    for role, column in (("labels", labels), ("domain", domains), ("split", splits)):
        if column is not None and len(column) != len(items):
            raise InputError(
                f"{columns.path.name}: {len(column)} entries of {role} {roles[role]!r} for {len(items)} items; "
                "expected one each"
            )
    return Rows(items, labels, domains, None if splits is None else _splits(splits, columns), columns)


def _names(column: Any) -> NDArray[Any]:
    return np.array([str(value) for value in np.asarray(column).tolist()], dtype=object)


def _splits(column: NDArray[Any], columns: Columns) -> NDArray[Any]:
    if strange := sorted({name for name in column.tolist() if name.lower() not in SPLITS}):
        raise InputError(
            f"{columns.path.name}: split {strange[0]!r} in row {column.tolist().index(strange[0])}; expected "
            "train, validation or test"
        )
    return np.array([SPLITS[name.lower()] for name in column.tolist()], dtype=object)


def _items(columns: Columns, spec: Mapping[str, Any], used: set[str]) -> Any:
    given = [key for key in INPUTS if key in spec]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} both name the items; keep one")
    if not given and "path" in columns.roles:
        return _paths(columns[columns.roles["path"]], columns, spec)
    if not given:
        return _usual(columns, used)
    key, name = given[0], spec[given[0]]
    if key == "path":
        return _paths(columns[str(name)], columns, spec)
    if isinstance(name, list | tuple):
        return _table({each: columns[str(each)] for each in name})
    column = columns[str(name)]
    return _table({str(name): column}) if key == "features" and columns.is_table and _is_number(column) else column


def _usual(columns: Columns, used: set[str]) -> Any:
    """Return the items of a file of which nothing says what they are."""
    if not columns.is_table:
        name = next((name for name in _ARRAYS["items"] if name in columns.columns), None)
        if name is None:
            raise InputError(
                f"{columns.path.name} holds {', '.join(columns.columns) or 'nothing'}; say which array holds the "
                "items: features: NAME"
            )
        return columns[name]
    rest = {name: column for name, column in columns.columns.items() if name not in used}
    if odd := [name for name, column in rest.items() if not _is_number(column)]:
        raise InputError(
            f"{columns.path.name}: column {odd[0]!r} is not of numbers; say which columns hold the items: text: NAME, "
            "path: NAME or features: [NAME, ...]"
        )
    if not rest:
        raise InputError(f"{columns.path.name} has no column left for the items; it has {', '.join(columns.columns)}")
    return _table(rest)


def _table(columns: Mapping[str, Any]) -> Any:
    import pandas as pd

    return pd.DataFrame({name: np.asarray(column) for name, column in columns.items()})


def _is_number(column: Any) -> bool:
    return np.asarray(column[:1] if isinstance(column, list) else column).dtype.kind in "biuf"


def _paths(column: Any, columns: Columns, spec: Mapping[str, Any]) -> list[Path]:
    """Return picture files; paths are relative to ``pictures``, by default the folder of the file that lists them."""
    if all(isinstance(each, Path) for each in column):
        return list(column)  # those that a folder holds
    folder = Path(spec["pictures"]) if "pictures" in spec else columns.path.parent
    return listed_items([str(each) for each in np.asarray(column).tolist()], folder, what=columns.path.name)


def named_arrays(columns: Columns, names: Any, usual: Sequence[str], *, key: str) -> tuple[Any, Any] | None:
    """Return the arrays X and y that ``names`` picks, y None without labels; None where there are none.

    Args:
        columns: of the file.
        names: ``NAME`` or ``[NAME, NAME]``; None for ``usual``, where the file has them.
        usual: the names of X and y.
        key: of the specification, for messages.
    """
    if names is None:
        if usual[0] not in columns.columns:
            return None
        names = [name for name in usual if name in columns.columns]
    names = [names] if isinstance(names, str) else list(names)
    if not 1 <= len(names) <= 2:
        raise InputError(f"{key}: {names}; expected the name of an array, or of two: [X, y]")
    items = columns[str(names[0])]
    labels = columns[str(names[1])] if len(names) == 2 else None
    if columns.path.suffix == ".mat" and labels is not None and len(items) != len(labels) == items.shape[-1]:
        items = items.T  # MATLAB keeps an example in a column
    return items, labels
