"""Checks of labels: their type, shape and range, and the marks of missing ones.

========= ===================== ======================= ======================================
kind      labels (N,)           become                  missing
========= ===================== ======================= ======================================
class     whole numbers from 0  int64                   negative or NaN; -1 afterwards
ordinal   whole numbers from 0  int64                   negative or NaN; -1 afterwards
value     any numbers           float                   NaN; negative numbers are values
values    any numbers, (N, T)   float                   NaN, in each column
dense     either, (N, H, W)     as above                as above, at each position
normals   vectors (N, 3, H, W)  float                   NaN
========= ===================== ======================= ======================================

Lists, NumPy arrays, tensors and table columns are read by position, never by index label; (N, 1) becomes (N,). Values
of tensors on an accelerator are not checked, because that would stall the queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.errors import InputError

__all__ = ["as_column", "class_labels", "is_missing", "rows_named", "target_labels", "value_labels", "value_matrix"]

_EXPECTED = "expected numbers; of names, give indices such as numpy.unique(names, return_inverse=True)[1]"

_SHAPES = {
    1: "(N,), one each",
    2: "(E, N), one each",
    3: "(N, H, W), one at every position",
    4: "(N, 3, H, W), a vector at every position",
}

MISSING = -1
"""Mark of a missing class label after the checks."""


def class_labels(
    labels: Any,
    *,
    num_classes: int | None = None,
    size: int | None = None,
    complete: bool = False,
    dims: int = 1,
    what: str = "labels",
) -> Tensor:
    """Return class indices as int64, with -1 for missing ones.

    Args:
        labels: (N,) or (N, 1); with more dimensions as ``dims`` says. Whole numbers of any type.
        num_classes: C, the exclusive upper bound of labels, if known.
        size: N, if known.
        complete: whether a missing label is an error.
        dims: dimensions of the labels: 1; 2 for episodes (E, N); 3 for (N, H, W), one label per position.
        what: name of the labels in messages.

    Raises:
        ValueError: the labels are not numbers, have the wrong shape, are no class indices, or one is missing although
            ``complete`` is set; the message names the row.

    >>> class_labels([0, 2.0, float("nan")], num_classes=3)
    tensor([ 0,  2, -1])
    """
    given = _shaped(as_column(labels, what=what), size=size, dims=dims, what=what, num_classes=num_classes)
    if given.dtype != torch.int64:
        given = _whole(given, what=what)
    bounds = _bounds(given)
    if bounds is None:
        return given
    lowest, highest = bounds
    if num_classes is not None and highest >= num_classes:
        from_one = ", counted from 0: subtract 1" if lowest == 1 and highest == num_classes else ""
        raise InputError(
            f"{what}: {highest} in {rows_named(given >= num_classes)}; expected 0 to {num_classes - 1} for "
            f"{num_classes} class{'' if num_classes == 1 else 'es'}{from_one}"
        )
    if lowest >= 0:
        return given
    if complete:
        raise InputError(
            f"{what}: none in {rows_named(given < 0)} (negative or NaN marks a missing label); drop those examples"
        )
    return given if lowest == MISSING else given.clamp_min(MISSING)


def value_labels(labels: Any, *, size: int | None = None, dims: int = 1, what: str = "labels") -> Tensor:
    """Return values as floats, with NaN for missing ones.

    Args:
        labels: (N,) or (N, 1); with more dimensions as ``dims`` says. Numbers of any type.
        size: N, if known.
        dims: dimensions of the labels: 1; 3 for (N, H, W), one per position; 4 for a vector per position.
        what: name of the labels in messages.

    Raises:
        ValueError: the labels are not numbers, have the wrong shape, or are infinite; the message names the row.

    >>> value_labels([[-1], [2]])
    tensor([-1.,  2.])
    """
    given = _shaped(as_column(labels, what=what), size=size, dims=dims, what=what)
    if not given.is_floating_point():
        return given.float()
    if _read((infinite := given.isinf()).any()):
        raise InputError(f"{what}: Inf in {rows_named(infinite)}; expected numbers, NaN where one is missing")
    return given


def value_matrix(
    labels: Any, *, num_values: int | None = None, size: int | None = None, complete: bool = False, what: str = "labels"
) -> Tensor:
    """Return the real-numbered targets of a regression as floats (N, T), with NaN for missing ones.

    Args:
        labels: (N,) for a single target, or (N, T). Numbers of any type.
        num_values: T, if known.
        size: N, if known.
        complete: whether a missing value is an error.
        what: name of the labels in messages.

    Raises:
        ValueError: the labels are not numbers, have the wrong shape, are infinite, or one is missing although
            ``complete`` is set; the message names the row.

    >>> value_matrix([1, 2.5]).tolist()
    [[1.0], [2.5]]
    """
    given = as_column(labels, what=what, expected="expected numbers: a regression has no classes")
    given = given if given.is_floating_point() else given.float()
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or num_values not in (None, given.shape[1]):
        wanted = "(N,) or (N, T)" if num_values is None else f"(N, {num_values})"
        raise InputError(f"{what} of shape {tuple(given.shape)}; expected {wanted}, a number for each target")
    if size is not None and len(given) != size:
        raise InputError(f"{what} has {len(given)} rows for {size} inputs; expected one each")
    if _read((infinite := given.isinf()).any()):
        raise InputError(f"{what}: Inf in {rows_named(infinite)}; expected numbers, NaN where one is missing")
    if complete and _read((missing := given.isnan()).any()):
        raise InputError(f"{what}: NaN in {rows_named(missing)}, which marks a missing value; drop those examples")
    return given


def target_labels(labels: Any, *, kind: str, classes: int, size: int | None = None, what: str = "labels") -> Tensor:
    """Return the labels of a target of the given ``kind`` (see above); some may be missing.

    Args:
        labels: see :func:`class_labels` and :func:`value_labels`.
        kind: kind of the target, see :class:`tlzoo.data.tasks.Target`.
        classes: C; 0 for values.
        size: N, if known.
        what: name of the labels in messages.

    Raises:
        ValueError: as for these functions.
    """
    dims = {"dense": 3, "normals": 4}.get(kind, 1)
    if classes:
        return class_labels(labels, num_classes=classes, size=size, dims=dims, what=what)
    return value_labels(labels, size=size, dims=dims, what=what)


def is_missing(labels: Tensor) -> Tensor:
    """Return which labels (N,), checked by this module, are missing; for dense labels, which items have none."""
    missing = labels.isnan() if labels.is_floating_point() else labels < 0
    return missing.flatten(1).all(dim=1) if missing.ndim > 1 else missing


def as_column(values: Any, *, what: str, expected: str = _EXPECTED) -> Tensor:
    """Return a list, an array, a tensor or a table column of numbers as a tensor, by position.

    Raises:
        ValueError: they are no numbers.

    >>> import pandas as pd
    >>> as_column(pd.Series([5, 6], index=[1, 0]), what="labels")
    tensor([5, 6])
    """
    if isinstance(values, Tensor):
        if values.is_complex():
            raise InputError(f"{what} are complex numbers; {expected}")
        return values.detach() if values.requires_grad else values
    array = _array(values, what=what, expected=expected)
    if array.dtype.kind == "u":  # torch can hardly compare these types
        array = array.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(array if array.flags.writeable else array.copy()))


def rows_named(wrong: Tensor | np.ndarray[Any, Any]) -> str:
    """Return a phrase on the first True entries (N, ...): ``"rows 2, 5, 9 and 4 more"``, with the position in a row.

    >>> rows_named(torch.tensor([False, True]))
    'row 1'
    """
    places = np.argwhere(wrong.cpu().numpy() if isinstance(wrong, Tensor) else wrong)
    rows = list(dict.fromkeys(places[:, 0].tolist()))
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    said = f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:3]))}{more}"
    if len(rows) > 1 or places.shape[1] == 1:
        return said
    inside = ", ".join(map(str, places[0, 1:].tolist()))
    return f"{said}, {'column' if places.shape[1] == 2 else 'position'} {inside}"


def _array(values: Any, *, what: str, expected: str) -> np.ndarray[Any, Any]:
    """Return numbers as an array of a type that torch supports."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(values), np.nan, values.data)
    elif isinstance(values, str | bytes | Mapping | Set) or not hasattr(values, "__iter__"):
        raise InputError(f"{what} are a {type(values).__name__}; expected an array or a list of numbers, one each")
    # table columns are read by position, whatever their index
    array = np.asarray(values if hasattr(values, "__array__") else list(values))
    if array.dtype.kind == "O":
        array = _from_objects(array, what=what, expected=expected)
    if array.dtype.kind not in "biuf":
        example = array.ravel()[0] if array.size else ""
        raise InputError(f"{what} are of type {array.dtype} ({str(example)!r}); {expected}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _from_objects(array: np.ndarray[Any, Any], *, what: str, expected: str) -> np.ndarray[Any, Any]:
    """Return the numbers of an object column, as in tables with missing entries (None, NA)."""
    numbers = np.empty(array.shape)
    for place, value in np.ndenumerate(array):
        if value is None or str(value) == "<NA>":
            numbers[place] = np.nan
        elif isinstance(value, int | float | np.number | np.bool):
            numbers[place] = value
        else:
            raise InputError(f"{what}: {value!r} in row {place[0]}; {expected}")
    return numbers


def _shaped(given: Tensor, *, size: int | None, dims: int, what: str, num_classes: int | None = None) -> Tensor:
    """Return labels of ``dims`` dimensions; (N, 1) becomes (N,)."""
    if dims == 1 and given.ndim == 2 and given.shape[1] == 1:
        given = given.squeeze(1)
    if given.ndim != dims:
        one_hot = given.ndim == 2 and given.shape[1] == num_classes and dims == 1
        advice = "; of one-hot rows take labels.argmax(1)" if one_hot else ""
        raise InputError(f"{what} of shape {tuple(given.shape)}; expected {_SHAPES[dims]}{advice}")
    if size is not None and len(given) != size:
        raise InputError(f"{what} has {len(given)} entries for {size} inputs; expected one each")
    return given


def _whole(given: Tensor, *, what: str) -> Tensor:
    """Return numbers of another type as int64, -1 for NaN."""
    if not given.is_floating_point():
        return given.to(torch.int64)
    missing = given.isnan()
    if _read((broken := (given != given.round()) & ~missing | given.isinf()).any()):
        raise InputError(
            f"{what}: {given[broken][0].item():g} in {rows_named(broken)}; class indices are whole numbers (for "
            "measured values, set regression=True, or use a multitask target with 0 classes)"
        )
    return torch.where(missing, MISSING, given).to(torch.int64)


def _bounds(given: Tensor) -> tuple[int, int] | None:
    """Return the least and greatest of integers, or None if there are none or reading them would cost or fail."""
    if given.device.type != "cpu" or not given.numel() or torch.compiler.is_compiling():
        return None
    lowest, highest = given.aminmax()
    try:
        return int(lowest), int(highest)
    except RuntimeError:  # torch's test for a tensor under vmap
        return None


def _read(value: Tensor) -> float | None:
    """Return a scalar, or None if it cannot be read cheaply: on accelerators, in compilation, under ``vmap``."""
    if value.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    try:
        return float(value)
    except RuntimeError:  # torch's test for a tensor under vmap
        return None
