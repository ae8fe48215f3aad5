"""The columns of a file or folder, whatever its format."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["Columns", "read_columns"]

Role = Literal["path", "labels", "domain", "split"]

_READERS = {
    ".npz": "archives:read_npz",
    ".mat": "archives:read_mat",
    ".csv": "tables:read_table",
    ".tsv": "tables:read_table",
    ".parquet": "tables:read_table",
    ".pq": "tables:read_table",
    ".txt": "picture_lists:read_list",
    ".lst": "picture_lists:read_list",
}
"""Suffix -> reader in this package."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Arrays or columns by name.

    Attributes:
        path: the file or folder.
        columns: by name; those of a table have one entry a row.
        is_table: whether all columns have one entry a row.
        roles: which column is what, if the format says so.
    """

    path: Path
    columns: Mapping[str, Any]
    is_table: bool = True
    roles: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """Return a column.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in self.columns:
            raise InputError(f"{self.path.name}: {nearest(str(name), self.columns, kind=self.noun)}")
        return self.columns[name]

    @property
    def noun(self) -> str:
        """What a column is called in messages."""
        return "column" if self.is_table else "array"


def read_columns(path: Path) -> Columns:
    """Read a file or a folder.

    Raises:
        ValueError: there is none, it is of no known format, or it is damaged.
    """
    if path.is_dir():
        saved = any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json"))
        return _reader("saved_datasets:read_saved" if saved else "picture_folders:read_folder")(path)
    if not path.is_file():
        raise InputError(f"there is no file or folder {path}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if suffix not in _READERS:
        raise InputError(
            f"{path.name} has a format that tlzoo does not read; expected {', '.join(_READERS)} or a folder"
        )
    return _reader(_READERS[suffix])(path)


def _reader(target: str) -> Callable[[Path], Columns]:
    module, _, name = target.partition(":")
    reader: Callable[[Path], Columns] = getattr(importlib.import_module(f"tlzoo.data.readers.{module}"), name)
    return reader
