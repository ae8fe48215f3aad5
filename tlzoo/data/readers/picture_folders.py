"""Folders of pictures: ``class/*.jpg``, below a folder for each domain or split where there are several."""

from __future__ import annotations

from pathlib import Path

from tlzoo.data.pictures import find_pictures, subfolders
from tlzoo.data.readers.columns import Columns
from tlzoo.errors import InputError

__all__ = ["SPLITS", "read_folder"]

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What splits are called -> their name here."""


def read_folder(path: Path) -> Columns:
    """Read the names of all pictures of a folder.

    Raises:
        ValueError: it holds no pictures in class folders, or a class has none.
    """
    first = subfolders(path)
    if not first:
        raise InputError(f"{path} has no folders; expected a folder of pictures for each class")
    deep = all(subfolders(path / name) and not find_pictures(path / name, deep=False) for name in first)
    groups = [(name, part) for name in first for part in subfolders(path / name)] if deep else [("", n) for n in first]
    files, labels, tops = [], [], []
    for top, name in groups:
        found = find_pictures(path / top / name)
        if not found:
            raise InputError(f"{path / top / name} has no images; fill it, or remove the folder")
        files += found
        labels += [name] * len(found)
        tops += [top] * len(found)
    columns = {"path": files, "label": labels}
    roles = {"path": "path", "labels": "label"}
    if deep:
        role = "split" if {name.lower() for name in first} <= set(SPLITS) else "domain"
        columns[role] = tops
        roles[role] = role
    return Columns(path, columns, roles=roles)
