"""Map-style data sets, such as torch's and torchvision's: items by number, alone or in pairs with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.data.own.pictured import as_pictures, fitted_array, is_picture
from tlzoo.errors import InputError, InputTypeError
from tlzoo.types import Modality

__all__ = ["DatasetItems", "Found", "is_dataset", "read_dataset"]

_IN_MEMORY_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Found:
    """What a data set holds; ``labels`` is None if its items are not pairs."""

    items: Any
    modality: Modality
    labels: list[Any] | None


def is_dataset(items: Any) -> bool:
    """Return whether an object has items by number and is no array, table or list."""
    if isinstance(items, torch.utils.data.IterableDataset):
        raise InputTypeError(
            f"{type(items).__name__} has no items by number; give a map-style data set, or its items in a list"
        )
    arrays = isinstance(items, np.ndarray | torch.Tensor | Sequence | Mapping) or hasattr(items, "__array__")
    return not arrays and hasattr(items, "__len__") and hasattr(items, "__getitem__")


def read_dataset(dataset: Any, *, size: int | None, what: str) -> Found:
    """Read a data set once: its labels, and its items, which stay in memory up to 1 GiB.

    Raises:
        ValueError: it is empty, items differ in shape or from one reading to the next, or are of no known kind.
    """
    if not len(dataset):
        raise InputError(f"{what}: the data set has no items; expected at least one")
    first, again = (_split(dataset[0], what) for _ in range(2))
    paired = first[1] is not _NOTHING
    item = _array(first[0], size, 0, what)
    if not np.array_equal(item, _array(again[0], size, 0, what)):
        raise InputError(
            f"{what}: item 0 differs from one reading to the next; give the data set without random transforms"
        )
    reader = DatasetItems(dataset, size=size, shape=item.shape, what=what)
    keep = item.nbytes * len(dataset) <= _IN_MEMORY_BYTES
    labels, items = [], []
    for row in range(len(dataset)):
        given, label = _split(dataset[row], what)
        items += [reader.checked(given, row)] if keep else []
        labels.append(_plain(label))
    kinds: dict[int, Modality] = {0: "text", 1: "features", 2: "series", 3: "image"}
    held = (
        (np.array([str(each) for each in items], dtype=object) if item.ndim == 0 else np.stack(items))
        if keep
        else reader
    )
    return Found(held, kinds[item.ndim], _by_name(dataset, labels) if paired else None)


def _by_name(dataset: Any, labels: list[Any]) -> list[Any]:
    """Return labels that are numbers by the names that the data set, or the one that it is part of, has for them."""
    while not hasattr(dataset, "classes") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    numbers = all(isinstance(label, int) for label in labels)
    if not numbers or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        return labels
    return [names[label] for label in labels] if max(labels) < len(names) and min(labels) >= 0 else labels


class DatasetItems:
    """The items of a data set, read on demand.

    Args:
        dataset: has items by number.
        size: height and width of pictures of Pillow; None as they are.
        shape: of the first item, and of all.
        what: name of the set in messages.
    """

    def __init__(self, dataset: Any, *, size: int | None, shape: tuple[int, ...], what: str) -> None:
        self.dataset, self.size, self.shape, self.what = dataset, size, shape, what

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the items at ``indices`` as one array."""
        rows = [self.checked(_split(self.dataset[int(row)], self.what)[0], int(row)) for row in indices]
        return np.stack(rows) if rows else np.empty((0, *self.shape))

    def checked(self, item: Any, row: int) -> NDArray[Any]:
        """Return an item as an array of the common shape.

        Raises:
            ValueError: it has another shape.
        """
        array = _array(item, self.size, row, self.what)
        if array.shape != self.shape:
            advice = "; size=... brings pictures to one size" if array.ndim == 3 else ""
            raise InputError(
                f"{self.what}: item {row} is {array.shape}, item 0 is {self.shape}; expected one shape{advice}"
            )
        return array


_NOTHING = object()


def _split(item: Any, what: str) -> tuple[Any, Any]:
    """Return an item and its label."""
    if isinstance(item, Mapping):
        raise InputTypeError(
            f"{what}: items are mappings with {', '.join(map(repr, item))}; give the columns as a pair, such as "
            "(dataset['image'], dataset['label'])"
        )
    if not isinstance(item, tuple | list):
        return item, _NOTHING
    if not 1 <= len(item) <= 2:
        raise InputError(f"{what}: items are tuples of {len(item)}; expected x or (x, label)")
    return item[0], item[1] if len(item) == 2 else _NOTHING


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, torch.Tensor | np.generic) and label.ndim == 0 else label


def _array(item: Any, size: int | None, row: int, what: str) -> NDArray[Any]:
    """Return an item as an array: a picture (H, W, C), a series (time, channels), features (D,), or a text ()."""
    if isinstance(item, str):
        return np.array(item, dtype=object)
    if is_picture(item):
        return fitted_array(item, size, row, what=what)
    values = item.detach().cpu().numpy() if isinstance(item, torch.Tensor) else np.asarray(item)
    if values.dtype.kind not in "biuf" or values.ndim > 3:
        raise InputError(f"{what}: item {row} is a {type(item).__name__}; expected a picture, an array or a text")
    if values.ndim == 3 or (values.ndim == 2 and values.dtype == np.uint8):
        (picture,) = as_pictures(values[None], what=f"{what}, item {row}")
        return np.asarray(picture)
    numbers: NDArray[Any] = np.atleast_1d(values).astype(np.float32)
    return numbers
