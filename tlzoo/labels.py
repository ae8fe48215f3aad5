"""Labels as they come in: type, shape, range, and what marks a missing one, looked at in this one place.

========= ===================== ======================= ======================================
kind      labels (N,)           become                  missing
========= ===================== ======================= ======================================
class     whole numbers from 0  int64                   negative or NaN; -1 afterwards
ordinal   whole numbers from 0  int64                   negative or NaN; -1 afterwards
value     any numbers           float                   NaN; negative numbers are values
dense     either, (N, H, W)     as above                as above, at each position
normals   vectors (N, 3, H, W)  float                   NaN
========= ===================== ======================= ======================================

Lists, NumPy arrays, tensors and columns of tables are taken, by position and never by index label; a column (N, 1) is
(N,). Values of tensors on an accelerator are not looked at: asking would stall the queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_column", "class_labels", "is_missing", "rows_named", "target_labels", "value_labels"]

_EXPECTED = "expected numbers; of names, give indices such as numpy.unique(names, return_inverse=True)[1]"

_SHAPES = {
    1: "(N,), one each",
    2: "(E, N), one each",
    3: "(N, H, W), one at every position",
    4: "(N, 3, H, W), a vector at every position",
}

MISSING = -1
"""What marks a missing class label once labels were taken in."""


def class_labels(
    labels: Any,
    *,
    num_classes: int | None = None,
    size: int | None = None,
    complete: bool = False,
    dims: int = 1,
    what: str = "labels",
) -> Tensor:
    """Return class indices as int64, -1 where one is missing.

    Args:
        labels: (N,) or (N, 1); with more dimensions where ``dims`` says so. Whole numbers of any type.
        num_classes: C, where it is known: labels are below it.
        size: N, where it is known.
        complete: whether a missing label is an error.
        dims: dimensions of the labels: 1; 2 for (E, N), of episodes; 3 for (N, H, W), one at every position.
        what: what they are, for messages.

    Raises:
        ValueError: no numbers, another shape, a label that is no class index, or one that is missing and must not be;
            the row is named.

    >>> class_labels([0, 2.0, float("nan")], num_classes=3)
    tensor([ 0,  2, -1])
    """
    given = _shaped(as_column(labels, what=what), size=size, dims=dims, what=what, num_classes=num_classes)
    if given.dtype != torch.int64:
        given = _whole(given, what=what)
    bounds = [_read(bound) for bound in given.aminmax()] if given.numel() else [None]
    if None in bounds:
        return given
    lowest, highest = (int(bound) for bound in bounds if bound is not None)
    if num_classes is not None and highest >= num_classes:
        from_one = ", counted from 0: subtract 1" if lowest == 1 and highest == num_classes else ""
        raise ValueError(
            f"{what}: {highest} in {rows_named(given >= num_classes)}; expected 0 to {num_classes - 1} for "
            f"{num_classes} class{'' if num_classes == 1 else 'es'}{from_one}"
        )
    if lowest >= 0:
        return given
    if complete:
        raise ValueError(
            f"{what}: none in {rows_named(given < 0)} (negative or NaN marks a missing label); drop what has no label"
        )
    return given if lowest == MISSING else given.clamp_min(MISSING)


def value_labels(labels: Any, *, size: int | None = None, dims: int = 1, what: str = "labels") -> Tensor:
    """Return values as floats, NaN where one is missing.

    Args:
        labels: (N,) or (N, 1); with more dimensions where ``dims`` says so. Numbers of any type.
        size: N, where it is known.
        dims: dimensions of the labels: 1; 3 for (N, H, W), one at every position; 4 for a vector at every position.
        what: what they are, for messages.

    Raises:
        ValueError: no numbers, another shape, or infinite ones; the row is named.

    >>> value_labels([[-1], [2]])
    tensor([-1.,  2.])
    """
    given = _shaped(as_column(labels, what=what), size=size, dims=dims, what=what)
    if not given.is_floating_point():
        return given.float()
    if _read((infinite := given.isinf()).any()):
        raise ValueError(f"{what}: Inf in {rows_named(infinite)}; expected numbers, NaN where one is missing")
    return given


def target_labels(labels: Any, *, kind: str, classes: int, size: int | None = None, what: str = "labels") -> Tensor:
    """Return the labels of a target of one ``kind`` (see above), missing or not.

    Args:
        labels: see :func:`class_labels` and :func:`value_labels`.
        kind: of the target, see :class:`tlzoo.data.tasks.Target`.
        classes: C; 0 for values.
        size: N, where it is known.
        what: what they are, for messages.

    Raises:
        ValueError: see there.
    """
    dims = {"dense": 3, "normals": 4}.get(kind, 1)
    if classes:
        return class_labels(labels, num_classes=classes, size=size, dims=dims, what=what)
    return value_labels(labels, size=size, dims=dims, what=what)


def is_missing(labels: Tensor) -> Tensor:
    """Return which labels (N,), taken in by this module, are missing; of dense ones, items without any."""
    missing = labels.isnan() if labels.is_floating_point() else labels < 0
    return missing.flatten(1).all(dim=1) if missing.ndim > 1 else missing


def as_column(values: Any, *, what: str) -> Tensor:
    """Return numbers that came as a list, an array, a tensor or a column of a table as a tensor, by position.

    Raises:
        ValueError: they are no numbers.

    >>> import pandas as pd
    >>> as_column(pd.Series([5, 6], index=[1, 0]), what="labels")
    tensor([5, 6])
    """
    if isinstance(values, Tensor):
        if values.is_complex():
            raise ValueError(f"{what} are complex numbers; {_EXPECTED}")
        return values.detach() if values.requires_grad else values
    array = _array(values, what=what)
    if array.dtype.kind == "u":  # torch compares few of these types
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


def _array(values: Any, *, what: str) -> np.ndarray[Any, Any]:
    """Return numbers as an array of a type that torch has."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(values), np.nan, values.data)
    elif isinstance(values, str | bytes | Mapping | Set) or not hasattr(values, "__iter__"):
        raise ValueError(f"{what} are a {type(values).__name__}; expected an array or a list of numbers, one each")
    # a column of a table comes by position, whatever its index says
    array = np.asarray(values if hasattr(values, "__array__") else list(values))
    if array.dtype.kind == "O":
        array = _from_objects(array, what=what)
    if array.dtype.kind not in "biuf":
        example = array.ravel()[0] if array.size else ""
        raise ValueError(f"{what} are of type {array.dtype} ({str(example)!r}); {_EXPECTED}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _from_objects(array: np.ndarray[Any, Any], *, what: str) -> np.ndarray[Any, Any]:
    """Return numbers of a column of objects, as tables hold them where some are missing (None, NA)."""
    numbers = np.empty(array.shape)
    for place, value in np.ndenumerate(array):
        if value is None or str(value) == "<NA>":
            numbers[place] = np.nan
        elif isinstance(value, int | float | np.number | np.bool):
            numbers[place] = value
        else:
            raise ValueError(f"{what}: {value!r} in row {place[0]}; {_EXPECTED}")
    return numbers


def _shaped(given: Tensor, *, size: int | None, dims: int, what: str, num_classes: int | None = None) -> Tensor:
    """Return labels of ``dims`` dimensions; a column (N, 1) is (N,)."""
    if dims == 1 and given.ndim == 2 and given.shape[1] == 1:
        given = given.squeeze(1)
    if given.ndim != dims:
        one_hot = given.ndim == 2 and given.shape[1] == num_classes and dims == 1
        advice = "; of one-hot rows take labels.argmax(1)" if one_hot else ""
        raise ValueError(f"{what} of shape {tuple(given.shape)}; expected {_SHAPES[dims]}{advice}")
    if size is not None and len(given) != size:
        raise ValueError(f"{what} has {len(given)} entries for {size} inputs; expected one each")
    return given


def _whole(given: Tensor, *, what: str) -> Tensor:
    """Return numbers of another type as int64, -1 for NaN."""
    if not given.is_floating_point():
        return given.to(torch.int64)
    missing = given.isnan()
    if _read((broken := (given != given.round()) & ~missing | given.isinf()).any()):
        raise ValueError(
            f"{what}: {given[broken][0].item():g} in {rows_named(broken)}; class indices are whole numbers (what is "
            "measured is a value: a target of 0 classes)"
        )
    return torch.where(missing, MISSING, given).to(torch.int64)


def _read(value: Tensor) -> float | None:
    """Return a scalar, or None where nobody should ask: on an accelerator, while compiling, and under ``vmap``."""
    if value.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    try:
        return float(value)
    except RuntimeError:  # torch's word for a tensor that stands for many
        return None
