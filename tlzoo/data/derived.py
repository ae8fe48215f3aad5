"""What is computed once from sources (decoded images, tables) and then read from the cache."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tlzoo.data.example_set import content_hash
from tlzoo.sources import home, lock, staging

__all__ = ["derived_folder"]

_MANIFEST = "manifest.json"


def derived_folder(name: str, identity: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of files that ``make`` writes, made now if it is not there or not whole.

    Safe in several processes at once: the folder appears whole or not at all.

    Args:
        name: what it is, in the folder's name.
        identity: all that the files depend on: hashes of sources and the revision of the code.
        make: writes the files into the empty folder it is given.
    """
    final = home() / "derived" / f"{name}-{content_hash(identity)}"
    if _is_whole(final):
        return final
    with lock(final.name):
        if not _is_whole(final):
            _make(final, make)
    return final


def _make(final: Path, make: Callable[[Path], None]) -> None:
    with staging(final, sweep=True) as folder:
        fresh = folder / "fresh"
        fresh.mkdir()
        make(fresh)
        sizes = {path.name: path.stat().st_size for path in fresh.iterdir()}
        (fresh / _MANIFEST).write_text(json.dumps(sizes))
        if final.exists():
            shutil.move(final, folder / "old")
        try:
            os.replace(fresh, final)
        except OSError:
            # on a file system without locks another process came first with the same contents
            if not _is_whole(final):
                raise


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _MANIFEST).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
