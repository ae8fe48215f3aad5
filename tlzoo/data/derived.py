"""Data computed once from sources (decoded images, tables) and then read from the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tlzoo.data.example_set import content_hash
from tlzoo.storage import home, made_once

__all__ = ["derived_folder"]

_MANIFEST = "manifest.json"


def derived_folder(name: str, identity: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of files that ``make`` writes; create it if it is missing or incomplete.

    Several processes may call it at once: the folder appears atomically.

    Args:
        name: name of the data, part of the folder's name.
        identity: everything that the files depend on: hashes of sources and the revision of the code.
        make: writes the files into the given empty folder.
    """

    def write(folder: Path) -> None:
        folder.mkdir()
        make(folder)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        (folder / _MANIFEST).write_text(json.dumps(sizes))

    return made_once(home() / "derived" / f"{name}-{content_hash(identity)}", write, is_whole=_is_whole)


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _MANIFEST).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
