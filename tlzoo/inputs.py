"""Raw items: accepted types and shapes, and subsets and unions that are read on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.errors import InputError, InputTypeError, NotFiniteError
from tlzoo.spelling import nearest
from tlzoo.types import Modality

__all__ = ["Indices", "Inputs", "Parts", "Rows", "as_inputs", "by_position", "detached"]

Indices = NDArray[np.int64]

_BLOCK = 2**24
"""Numbers checked at once, because memory maps may be larger than the memory."""

_SHAPES = {
    "image": (4, "uint8 pixels (N, H, W, C)"),
    "series": (3, "numbers (N, time, channels)"),
    "features": (2, "numbers (N, D)"),
}
"""Modality -> number and names of the dimensions of its arrays."""


class Inputs(Protocol):
    """Raw items: an array, a memory map, an array of strings, or a reader that opens files on demand."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, indices: Indices, /) -> Any:
        """Return the items at ``indices`` as one array (or array of strings)."""
        ...


def as_inputs(inputs: Any, modality: Modality) -> Inputs:
    """Return items that can be read by position: an array, or an unchanged reader.

    Lists, tensors, columns and tables become arrays, whatever index labels they carry; memory maps stay on disk.

    Raises:
        ValueError: the modality is unknown, type or shape of the items do not fit it, or a text is missing.
        TypeError: the items cannot be read by an array of positions.
        FloatingPointError: the items have NaN or Inf; the message names row and column.
    """
    if modality not in get_args(Modality):
        raise InputError(nearest(str(modality), get_args(Modality), kind="modality"))
    if isinstance(inputs, Rows | Parts):
        return inputs
    read = by_position(inputs, modality)
    if not isinstance(read, np.ndarray):
        _check_reader(read)
        reader: Inputs = read
        return reader
    return _texts(read) if modality == "text" else _numbers(read, modality)


def by_position(inputs: Any, modality: Modality) -> Any:
    """Return lists, tensors, columns and tables as an array, whatever their index labels, and a reader unchanged.

    Raises:
        ValueError: the inputs are sparse or masked, or the items differ in shape.
        TypeError: the inputs have no items.
    """
    if isinstance(inputs, np.ma.MaskedArray) and np.ma.is_masked(inputs):
        raise InputError("inputs are a masked array with masked entries; fill them first")
    if isinstance(inputs, np.ndarray):
        return inputs if isinstance(inputs, np.memmap) else np.asarray(inputs)
    if isinstance(inputs, torch.Tensor):
        if inputs.layout != torch.strided:
            raise InputError("inputs are a sparse tensor; give a dense one: inputs.to_dense()")
        dense = inputs.detach().cpu()
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    if isinstance(inputs, str | bytes | Mapping | Set) or inputs is None:
        raise InputTypeError(f"inputs are a {type(inputs).__name__}; expected an array or a list of items")
    if hasattr(inputs, "toarray"):
        raise InputError("inputs are a sparse matrix; give a dense array: inputs.toarray()")
    if hasattr(inputs, "__array__"):  # tables and their columns; arrays in a file
        return _stacked(np.asarray(inputs), modality)
    return _stacked(list(inputs), modality) if isinstance(inputs, Sequence) else inputs


def _stacked(items: Any, modality: Modality) -> NDArray[Any]:
    """Return a list or an array of items, which may be arrays, as one array."""
    if modality == "text" or (isinstance(items, np.ndarray) and items.dtype.kind != "O"):
        return np.array(items, dtype=object) if modality == "text" and isinstance(items, list) else np.asarray(items)
    rows = [np.asarray(item) for item in items]
    if odd := [place for place, row in enumerate(rows) if row.shape != rows[0].shape]:
        raise InputError(
            f"inputs differ in shape: {rows[0].shape} in row 0 and {rows[odd[0]].shape} in row {odd[0]}; expected one "
            "shape for all"
        )
    return np.stack(rows) if rows else np.empty(0)


def _check_reader(reader: Any) -> None:
    """Check with the first item that a reader can be indexed like an array."""
    name = type(reader).__name__
    if not (hasattr(reader, "__len__") and hasattr(reader, "__getitem__")):
        raise InputTypeError(
            f"inputs are a {name}, which has no length or no items; expected an array or a list of items"
        )
    if not len(reader):
        return
    try:
        first = reader[np.zeros(1, dtype=np.int64)]
    except Exception as error:
        if isinstance(error, ValueError):  # the reader's own error, such as a file that is not an image
            raise
        raise InputTypeError(f"inputs are a {name}, which cannot be read by position ({error}); {_ADVICE}") from error
    if not isinstance(first, np.ndarray) or len(first) != 1:
        raise InputTypeError(
            f"inputs are a {name}: inputs[numpy.array([0])] is a {type(first).__name__}, not an array of one item; "
            f"{_ADVICE}"
        )


_ADVICE = (
    "read its inputs into an array first, such as numpy.stack([x for x, _ in dataset]) of a torch Dataset of pairs, "
    "and its labels into another"
)


def _texts(texts: NDArray[Any]) -> NDArray[Any]:
    if texts.ndim == 2 and texts.shape[1] == 1:
        texts = texts[:, 0]
    if texts.ndim != 1:
        raise InputError(f"texts of shape {texts.shape}; expected (N,) strings")
    if texts.dtype.kind == "U":
        return texts
    column = texts.astype(object)
    if odd := [place for place, text in enumerate(column) if not isinstance(text, str)]:
        raise InputError(f"inputs: {column[odd[0]]!r} in row {odd[0]}; expected strings; drop or fill missing ones")
    return column


def _numbers(items: NDArray[Any], modality: Modality) -> NDArray[Any]:
    dimensions, expected = _SHAPES[modality]
    if items.ndim != dimensions or items.dtype.kind not in ("u" if modality == "image" else "biuf"):
        raise InputError(
            f"{modality} inputs are {items.dtype} {items.shape}; expected {expected}{_advice(items, modality)}"
        )
    if not items.size and len(items):
        raise InputError(f"{modality} inputs of shape {items.shape}; expected at least one number an item")
    if modality == "image" and (items.dtype != np.uint8 or _channels_first(items)):
        raise InputError(f"image inputs are {items.dtype} {items.shape}; expected {expected}{_advice(items, modality)}")
    for first, block in _blocks(items) if items.dtype.kind == "f" else ():
        with np.errstate(over="ignore"):
            finite = np.isfinite(block.astype(np.float32, copy=False))  # as batches hold them
        if not finite.all():
            wrong = np.argwhere(~finite)[0]
            inside = ", ".join(map(str, wrong[1:].tolist()))
            place = f"row {first + wrong[0]}, {'column' if modality == 'features' else 'position'} {inside}"
            raise NotFiniteError(f"inputs: {block[tuple(wrong)]} in {place}; drop or fix such rows")
    return items


def _blocks(items: NDArray[Any]) -> Any:
    step = max(1, _BLOCK // max(1, int(np.prod(items.shape[1:]))))
    return ((first, items[first : first + step]) for first in range(0, len(items), step))


def _channels_first(items: NDArray[Any]) -> bool:
    return bool(items.shape[-1] > 4 >= items.shape[1])


def _advice(items: NDArray[Any], modality: Modality) -> str:
    if modality == "image" and items.ndim == 4 and _channels_first(items):
        return "; channels come last: inputs.transpose(0, 2, 3, 1)"
    if modality == "image" and items.ndim == 3:
        return "; of gray pictures give inputs[..., None]"
    if modality == "image" and items.dtype.kind == "f":
        return "; of numbers in [0, 1], (255 * inputs).round().astype('uint8')"
    if modality == "features" and items.ndim == 1:
        return "; of one number each give inputs[:, None]"
    if modality == "features" and items.ndim == 3:
        return "; of time series the modality is 'series'"
    return ""


def detached(inputs: Inputs) -> Inputs:
    """Return inputs without the rows that they do not use, if their kind allows it."""
    if isinstance(inputs, Rows):
        whole, indices, _ = inputs.base
        if isinstance(whole, np.ndarray):
            return np.asarray(whole[indices])
        return whole.take(indices) if hasattr(whole, "take") else inputs
    if isinstance(inputs, Parts):
        return Parts([detached(part) for part in inputs.parts])
    if isinstance(inputs, np.ndarray) and isinstance(inputs.base, np.ndarray):
        return np.array(inputs)
    return inputs


class Rows:
    """Some rows of other inputs."""

    def __init__(self, inputs: Inputs, indices: Indices, checksum: str) -> None:
        if isinstance(inputs, Rows):
            inputs, base_indices, checksum = inputs.base
            indices = base_indices[indices]
        self._inputs, self._indices, self._checksum = inputs, indices, checksum

    @property
    def base(self) -> tuple[Inputs, Indices, str]:
        """The underlying inputs, the rows that are used, and their checksum."""
        return self._inputs, self._indices, self._checksum

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, indices: Indices) -> Any:
        return self._inputs[self._indices[indices]]


class Parts:
    """A concatenation of several inputs."""

    def __init__(self, parts: Sequence[Inputs]) -> None:
        self.parts = tuple(parts)
        self._firsts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, indices: Indices) -> Any:
        order, places = self._by_part(indices)
        rows = [part[own] for part, own in zip(self.parts, places, strict=True) if len(own) or not len(indices)]
        return np.concatenate(rows)[np.argsort(order)]

    def take(self, indices: Indices) -> Inputs:
        """Return only these items."""
        order, places = self._by_part(indices)
        parts = [detached(Rows(part, own, "")) for part, own in zip(self.parts, places, strict=True)]
        return Rows(Parts(parts), np.argsort(order), "")

    def _by_part(self, indices: Indices) -> tuple[Indices, list[Indices]]:
        """Return the order that sorts items by part, and the positions within their part in that order."""
        owners = np.searchsorted(self._firsts, indices, side="right") - 1
        order = np.argsort(owners, kind="stable")
        places = [indices[owners == part] - self._firsts[part] for part in range(len(self.parts))]
        return order.astype(np.int64), places
