"""Class labels as users have them, names or numbers, and the class indices that tasks hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError, InputTypeError
from tlzoo.labels import as_column
from tlzoo.spelling import nearest

__all__ = ["ClassColumn", "class_column", "class_order", "few", "indices_of", "places_of", "with_class_names"]

K = TypeVar("K")

_FEW = 5


@dataclass(frozen=True, eq=False)
class ClassColumn:
    """One class a row.

    Attributes:
        names: (N,) names, None where the label is missing.
        order: names in the order that the column itself says (ordered categories); empty if it says none.
        numeric: whether the labels are whole numbers.
    """

    names: NDArray[np.object_]
    order: tuple[str, ...] = ()
    numeric: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def known(self) -> set[str]:
        """The classes that occur."""
        return {name for name in self.names.tolist() if name is not None}


def class_column(labels: Any, *, size: int | None = None, complete: bool = False, what: str = "labels") -> ClassColumn:
    """Read class labels: strings, booleans, whole numbers of any type, or a categorical column.

    Args:
        labels: (N,) or (N, 1). None, NaN, an empty string or a negative number marks a missing one.
        size: N, if known.
        complete: whether a missing label is an error.
        what: name of the labels in messages.

    Raises:
        ValueError: the labels have another shape or length, are measured values, or one is missing although
            ``complete`` is set; the message names the row.
    """
    values, order = _listed(labels, what=what)
    if size is not None and len(values) != size:
        raise InputError(f"{what}: {len(values)} labels for {size} items; expected one each")
    spelled = [_spelled(value, row, what=what) for row, value in enumerate(values)]
    names = np.array([name for name, _ in spelled] or [], dtype=object)
    numbers = [number for name, number in spelled if name is not None]
    if complete and (missing := [row for row, (name, _) in enumerate(spelled) if name is None]):
        negative = any(isinstance(values[row], int | float) and values[row] < 0 for row in missing)
        why = "negative numbers mark missing labels; give names or numbers from 0" if negative else "drop those rows"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{what}: none in row {missing[0]}{more}; {why}")
    return ClassColumn(names, order, bool(numbers) and all(numbers))


def class_order(columns: Iterable[ClassColumn]) -> tuple[str, ...]:
    """Return the classes of several columns in order: of ordered categories, of numbers, or sorted by name."""
    columns = list(columns)
    found = set().union(*(column.known for column in columns))
    order = next((column.order for column in columns if column.order), ())
    if order and found <= set(order):
        return order
    numeric = bool(found) and all(column.numeric for column in columns if column.known)
    return tuple(sorted(found, key=int if numeric else str))


def with_class_names(
    columns: Mapping[K, ClassColumn], class_names: Sequence[Any] | None
) -> tuple[dict[K, ClassColumn], tuple[str, ...]]:
    """Return columns under the names of the classes, and all names in order.

    Args:
        columns: of names, or of numbers that count the given names from 0.
        class_names: in order; None for :func:`class_order`.

    Raises:
        ValueError: a class of a column is not among the given ones, or a given one is repeated.
    """
    if class_names is None:
        return dict(columns), class_order(columns.values())
    if isinstance(class_names, str):
        raise InputTypeError(f"class_names is {class_names!r}; expected a list of classes")
    names = tuple(map(str, class_names))
    if len(set(names)) < len(names):
        raise InputError(f"class_names {list(names)} repeat a class; name each once")
    return {key: _named(column, names) for key, column in columns.items()}, names


def _named(column: ClassColumn, names: tuple[str, ...]) -> ClassColumn:
    if column.known <= set(names):
        return column
    if not column.numeric:
        raise InputError(nearest(min(column.known - set(names)), names, kind="class"))
    if (highest := max(map(int, column.known))) >= len(names):
        raise InputError(f"class number {highest} for {len(names)} class_names; expected 0 to {len(names) - 1}")
    spelled = [None if name is None else names[int(name)] for name in column.names.tolist()]
    return ClassColumn(np.array(spelled, dtype=object))


def indices_of(column: ClassColumn, class_names: Sequence[str], *, other: int = -1) -> NDArray[np.int64]:
    """Return the place of each label in ``class_names``; -1 where it is missing, ``other`` for classes not in it."""
    places: dict[str | None, int] = {name: place for place, name in enumerate(class_names)}
    places[None] = -1
    return np.array([places.get(name, other) for name in column.names.tolist()], dtype=np.int64)


def places_of(classes: Sequence[str], names: Sequence[Any], what: str) -> NDArray[np.int64]:
    """Return the class indices of some classes.

    Raises:
        ValueError: one of them is unknown.
        TypeError: the names are not a list.
    """
    if isinstance(names, str):
        raise InputTypeError(f"{what} is {names!r}; expected a list of classes")
    known = {name: place for place, name in enumerate(classes)}
    if strange := [str(each) for each in names if str(each) not in known]:
        raise InputError(f"{what}: {nearest(strange[0], classes, kind='class')}")
    return np.array([known[str(each)] for each in names], dtype=np.int64)


def few(names: Iterable[str]) -> str:
    """Return a few names in one phrase.

    >>> few("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    names = list(names)
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


def _listed(labels: Any, *, what: str) -> tuple[list[Any], tuple[str, ...]]:
    """Return plain Python values, and the order of ordered categories."""
    categories = getattr(getattr(labels, "dtype", None), "categories", None)
    if categories is not None:
        order = tuple(str(each) for each in categories) if labels.dtype.ordered else ()
        return list(labels.astype(object)), order
    column = np.asarray(labels) if not hasattr(labels, "detach") else as_column(labels, what=what).numpy()
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim == 2 and column.dtype.kind in "biuf" and column.shape[1] > 1:
        raise InputError(
            f"{what} of shape {column.shape}; expected one class a row, (N,): of one-hot rows give labels.argmax(1)"
        )
    if column.ndim != 1:
        raise InputError(f"{what} of shape {column.shape}; expected one class a row, (N,)")
    return column.tolist(), ()


def _spelled(value: Any, row: int, *, what: str) -> tuple[str | None, bool]:
    """Return the name of a class, None if it is missing, and whether it is a number."""
    if value is None or value != value or value == "":  # NaN of any library differs from itself
        return None, False
    if isinstance(value, bool):
        return str(value), False
    if isinstance(value, int):
        return (str(value), True) if value >= 0 else (None, True)
    if isinstance(value, float):
        if not math.isfinite(value) or value != int(value):
            raise InputError(
                f"{what}: {value!r} in row {row}; classes are names or whole numbers (a measured value is a target of "
                "tlzoo.tasks.multitask)"
            )
        return (str(int(value)), True) if value >= 0 else (None, True)
    if isinstance(value, complex):
        raise InputError(f"{what}: {value!r} in row {row}; classes are names or whole numbers")
    if isinstance(value, bytes):
        return value.decode(), False
    return str(value).strip() or None, False
