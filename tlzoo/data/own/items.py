"""Whatever holds a user's items, as inputs of an example set: arrays, tables, texts, pictures on disk, data sets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.own.dataset_items import is_dataset, read_dataset
from tlzoo.data.own.pictured import as_pictures, fitted_array, is_picture
from tlzoo.data.pictures import REVISION, SUFFIXES, ImageFiles, usual_size
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.inputs import by_position
from tlzoo.spelling import nearest
from tlzoo.storage.contents import content_hashes
from tlzoo.types import Modality

__all__ = ["Part", "listed_items", "read_parts"]


@dataclass(frozen=True, eq=False)
class Part:
    """A set of items, with labels as the user has them; None without labels."""

    examples: ExampleSet
    labels: Any = None

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, eq=False)
class _Files:
    """Picture files, before their size is known."""

    files: tuple[Path, ...]


def read_parts(
    parts: Mapping[str, Any], *, modality: Modality | None = None, size: int | None = None
) -> dict[str, Part]:
    """Read the sets of a task, by name.

    Args:
        parts: name -> X, or a pair (X, y). X is an array or a tensor, a memory map, a table, a list of texts, of
            picture files or of pictures, a map-style data set (whose items may be pairs, with labels), or an
            :class:`~tlzoo.data.ExampleSet`.
        modality: of the items; None to see it from them.
        size: height and width of pictures on disk, the same for all sets; by default 224, or what half of the pictures
            have at most, if that is less.

    Raises:
        ValueError: a set has no items, or its items are of no known kind, have missing numbers, or differ in shape; the
            message names the set, the row and the column.
        TypeError: the items cannot be read by position.
    """
    if modality not in (None, *get_args(Modality)):
        raise InputError(nearest(str(modality), get_args(Modality), kind="modality"))
    if size is not None:
        check_counts(size=size)
    split = {name: _pair(given, name) for name, given in parts.items()}
    read = {name: _items(items, modality, size, name) for name, (items, _) in split.items()}
    every = [file for found, _, _ in read.values() if isinstance(found, _Files) for file in found.files]
    height = (size or usual_size(every)) if every else None
    made: dict[str, Part] = {}
    for name, (found, kind, own_labels) in read.items():
        labels = split[name][1]
        if isinstance(found, ExampleSet):
            made[name] = Part(found, found.labels if labels is None else labels)
            continue
        examples = _pictures(found.files, height or 0) if isinstance(found, _Files) else _set(found, kind, name)
        made[name] = Part(examples, own_labels if labels is None else labels)
    if empty := [name for name, part in made.items() if not len(part)]:
        raise InputError(f"{empty[0]} has no items; expected at least one")
    return made


def _pair(given: Any, name: str) -> tuple[Any, Any]:
    if isinstance(given, Part):
        return given.examples, given.labels
    if not isinstance(given, tuple):
        return given, None
    if len(given) != 2:
        raise InputError(f"{name} is a tuple of {len(given)}; expected X, or a pair (X, y)")
    return given


def _items(items: Any, modality: Modality | None, size: int | None, name: str) -> tuple[Any, Modality | None, Any]:
    """Return an example set, files or an array; its modality; and labels that a data set brings."""
    if isinstance(items, ExampleSet):
        return items, items.modality, None
    if isinstance(items, Mapping | Set) or hasattr(items, "toarray"):  # which have no order, or no length
        return _array(items, modality, name), None, None
    if is_dataset(items):
        found = read_dataset(items, size=size, what=name)
        return (found.items, modality or found.modality, found.labels)
    if (files := _files(items, modality, name)) is not None:
        return files, "image", None
    if isinstance(items, Sequence) and not isinstance(items, str) and len(items) and is_picture(items[0]):
        return np.stack([fitted_array(item, size, row, what=name) for row, item in enumerate(items)]), "image", None
    if hasattr(items, "columns") and hasattr(items, "dtypes"):
        items = _table(items, modality, name)
    if modality == "text" or _is_text(items):
        return by_position(items, "text"), "text", None
    array = _array(items, modality, name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{name}: inputs are {given}; expected numbers, texts or pictures")
    return _numbers(array, modality, name), modality, None


def _array(items: Any, modality: Modality | None, name: str) -> Any:
    try:
        return by_position(items, modality or "features")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def _is_text(items: Any) -> bool:
    """Return whether the first item is a string."""
    if isinstance(items, np.ndarray) and items.dtype.kind == "U":
        return True
    if isinstance(items, torch.Tensor) or (isinstance(items, np.ndarray) and items.dtype.kind != "O"):
        return False
    values = getattr(items, "values", items)
    return hasattr(values, "__len__") and len(values) > 0 and isinstance(values[0], str)


def _files(items: Any, modality: Modality | None, name: str) -> _Files | None:
    """Return picture files, if the items are paths or texts that all end like pictures."""
    if isinstance(items, torch.Tensor) or not hasattr(items, "__len__") or isinstance(items, str | bytes):
        return None
    if getattr(items, "ndim", 1) != 1 or not len(items):
        return None
    values = getattr(items, "values", items)
    if not isinstance(values[0], str | os.PathLike) or modality not in (None, "image"):
        return None
    texts = [
        each if isinstance(each, str) else os.fspath(each) for each in values if isinstance(each, str | os.PathLike)
    ]
    if len(texts) < len(values):
        return None  # a missing text: the error for texts names its row
    alike = all(Path(text).suffix.lower() in SUFFIXES for text in texts)
    if not (alike or modality == "image" or isinstance(values[0], os.PathLike)):
        return None
    return _Files(tuple(listed_items(texts, Path(), what=name)))


def listed_items(names: Sequence[str], folder: Path, *, what: str) -> list[Path]:
    """Return the files of a list; relative ones are in ``folder``.

    Raises:
        ValueError: one does not exist; the message names its row.
    """
    paths = [folder / Path(name).expanduser() for name in names]
    for row, path in enumerate(paths):
        if not path.is_file():
            raise InputError(f"{what}: there is no file {path} (row {row}); paths are relative to {folder.absolute()}")
    return paths


def _table(table: Any, modality: Modality | None, name: str) -> Any:
    """Return a table as an array of float32, or its only column of texts."""
    if table.shape[1] == 1 and (modality == "text" or not _is_number(table.dtypes.iloc[0])):
        return table.iloc[:, 0]
    if odd := [column for column, dtype in table.dtypes.items() if not _is_number(dtype)]:
        raise InputError(
            f"{name}: column {odd[0]!r} is {table[odd[0]].dtype}, not numbers; drop it, or encode it as numbers"
        )
    values = table.to_numpy(dtype=np.float32, na_value=np.nan)
    if len(bad := np.argwhere(~np.isfinite(values))):
        row, column = bad[0]
        raise InputError(
            f"{name}: {values[row, column]} in row {row}, column {table.columns[column]!r}; drop or fill missing "
            "numbers"
        )
    return values


def _is_number(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "biuf"


def _numbers(array: NDArray[Any], modality: Modality | None, name: str) -> NDArray[Any]:
    """Return numbers in the form of their modality, which their dimensions tell where it is not given."""
    if modality == "image" or (modality is None and (array.ndim == 4 or (array.ndim == 3 and array.dtype == np.uint8))):
        return as_pictures(array, what=name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim not in (2, 3):
        raise InputError(
            f"{name}: inputs of shape {array.shape}; expected features (N, D), series (N, time, channels) or pictures "
            "(N, H, W, C)"
        )
    return array if isinstance(array, np.memmap) or array.dtype == np.float32 else _narrow(array)


def _narrow(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a number beyond float32 is reported with its row below
        return array.astype(np.float32)


def _set(array: Any, kind: Modality | None, name: str) -> ExampleSet:
    """Return the set of an array, whose errors name the set."""
    if kind is None:
        kinds: dict[int, Modality] = {2: "features", 3: "series", 4: "image"}
        kind = kinds[array.ndim]
    try:
        return ExampleSet(inputs=array, modality=kind)
    except (ValueError, FloatingPointError) as error:
        raise InputError(f"{name}: {error}") from None


def _pictures(files: tuple[Path, ...], size: int) -> ExampleSet:
    """Return pictures on disk; their identity is the contents of the files, in order, and the size."""
    reader = ImageFiles(files, size=size)  # first, so that it notices files that change from here on
    absolute = [file.absolute() for file in files]
    root = Path(os.path.commonpath([file.parent for file in absolute]))
    hashes = content_hashes(root, absolute)
    digests = [hashes[file.relative_to(root).as_posix()] for file in absolute]
    return ExampleSet(inputs=reader, modality="image", checksum=content_hash(digests, size, REVISION))
