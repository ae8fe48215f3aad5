"""Arrays on disk that are there whole and right, or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from tlzoo.sources import staging

__all__ = ["Entries"]

_log = logging.getLogger(__name__)

_verified: dict[Path, tuple[int, int, int]] = {}
"""Data files whose hash this process has checked, with their state at that time."""


_ABANDONED = 24 * 3600.0
"""Seconds after which a folder of unfinished work belongs to nobody."""


class Entries:
    """A folder of arrays by key.

    An entry is a data file, named after its key and its content, and ``KEY.json`` that names it with shape, dtype,
    size and hash. The latter is written last, by renaming: its presence is the commit.

    Args:
        root: the folder, made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> NDArray[Any] | None:
        """Return the array of ``key``, memory-mapped, or None where there is none or it is damaged."""
        sidecar = self.root / f"{key}.json"
        try:
            described = json.loads(sidecar.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            _log.warning("%s cannot be read; the entry is made again", sidecar)
            return None
        try:
            return self._opened(described)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s describes no sound data (%s); the entry is made again", sidecar, error)
            return None

    def make(
        self,
        key: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        fill: Callable[[NDArray[Any]], None],
        described: Mapping[str, Any],
    ) -> NDArray[Any]:
        """Return the array of ``key``, filled by ``fill`` where it is not there.

        A second process that wants the same key waits for the first. On a file system without locks both do the
        work, and what is read is whole all the same.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with _turn(self.root / f"{key}.lock"):
            found = self.get(key)
            if found is not None:
                return found
            self._sweep(key)
            with staging(self.root / key) as folder:
                draft = folder / "data.npy"
                array = np.lib.format.open_memmap(draft, mode="w+", dtype=dtype, shape=shape)
                fill(array)
                array.flush()
                del array
                self._commit(key, draft, {**described, "shape": list(shape), "dtype": dtype.name})
        made = self.get(key)
        if made is None:
            raise OSError(f"{self.root / key} was written and cannot be read back; check the disk")
        return made

    def _sweep(self, key: str) -> None:
        """Remove what killed processes left: by age, since without locks a live one may be at work beside us."""
        for left in self.root.glob(f"{key}.*.part"):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)

    def _commit(self, key: str, draft: Path, described: dict[str, Any]) -> None:
        digest = _sha256(draft)
        data = self.root / f"{key}-{digest[:16]}.npy"
        described |= {"file": data.name, "size": draft.stat().st_size, "sha256": digest}
        sidecar = draft.with_name("entry.json")
        sidecar.write_text(json.dumps(described, indent=1), encoding="utf-8")
        for file, final in ((draft, data), (sidecar, self.root / f"{key}.json")):
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
            os.replace(file, final)
        for old in self.root.glob(f"{key}-*.npy"):
            if old != data:
                # Windows keeps files that someone has mapped; they are swept another time
                with suppress(OSError):
                    old.unlink()

    def _opened(self, described: dict[str, Any]) -> NDArray[Any]:
        data = self.root / described["file"]
        info = data.stat()
        if info.st_size != described["size"]:
            raise ValueError(f"{data.name} has {info.st_size} bytes, not {described['size']}")
        state = (info.st_size, info.st_mtime_ns, info.st_ino)
        if _verified.get(data) != state:
            if _sha256(data) != described["sha256"]:
                raise ValueError(f"{data.name} does not have the hash that was written")
            _verified[data] = state
        # copy on write: the file stays as it is, and torch.from_numpy has no read-only array to warn of
        array: NDArray[Any] = np.load(data, mmap_mode="c", allow_pickle=False)
        if list(array.shape) != described["shape"] or array.dtype.name != described["dtype"]:
            raise ValueError(f"{data.name} is {array.dtype} {array.shape}, not what was written")
        return array


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold a lock where the file system has locks; it only saves work that would be done twice."""
    lock = FileLock(path)
    try:
        lock.acquire()
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
