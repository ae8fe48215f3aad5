"""Arrays on disk that are complete and verified, or absent."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError
from tlzoo.storage.files import commit, file_sha256, has_hash
from tlzoo.storage.locks import made_once

__all__ = ["ArrayStore", "new_array"]

_log = logging.getLogger(__name__)

_BLOCK = 2**24


def new_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any] | type[Any]) -> np.memmap[Any, Any]:
    """Return an array of zeros, memory-mapped from a new ``.npy`` file whose disk space is reserved.

    Raises:
        OSError: the disk has not enough space.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    # the file is sparse so far: writing to a map without space on the disk would kill the process by SIGBUS
    with path.open("rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), array.offset, array.nbytes)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            file.seek(array.offset)  # the system cannot reserve space: write zeros
            for place in range(0, array.nbytes, _BLOCK):
                file.write(bytes(min(_BLOCK, array.nbytes - place)))
    return array


class ArrayStore:
    """A folder of arrays by key.

    An entry is a data file, named after its key and contents, and ``KEY.json`` with the file's name, shape, dtype, size
    and hash. ``KEY.json`` is written last: its presence is the commit.

    Args:
        root: the folder; created on the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> NDArray[Any] | None:
        """Return the array of ``key``, memory-mapped, or None if it is missing or damaged."""
        sidecar = self.root / f"{key}.json"
        if not sidecar.is_file():
            return None
        try:
            return self._opened(json.loads(sidecar.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the entry %s is damaged (%s) and will be made again", sidecar, error)
            return None

    def make(
        self,
        key: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        fill: Callable[[NDArray[Any]], None],
        described: Mapping[str, Any],
    ) -> NDArray[Any]:
        """Return the array of ``key``; if it is missing, ``fill`` computes it. See :func:`tlzoo.storage.made_once`.

        Args:
            key: key of the entry.
            shape: shape of the array.
            dtype: dtype of the array.
            fill: writes the values into the array.
            described: further notes for ``KEY.json``.

        Raises:
            OSError: the disk is full or not writable.
        """
        found: list[NDArray[Any]] = []

        def is_whole(_: Path) -> bool:
            found[:] = [array] if (array := self.get(key)) is not None else []
            return bool(found)

        def write(sidecar: Path) -> None:
            draft = sidecar.with_name("data.npy")
            array = new_array(draft, shape, dtype)
            fill(array)
            array.flush()
            del array
            self._commit(key, draft, sidecar, {**described, "shape": list(shape), "dtype": dtype.name})

        final = made_once(self.root / f"{key}.json", write, is_whole=is_whole)
        if not found and not is_whole(final):
            raise OSError(f"{final} was written and cannot be read back; check the disk")
        return found[0]

    def _commit(self, key: str, draft: Path, sidecar: Path, described: dict[str, Any]) -> None:
        digest = file_sha256(draft)
        data = self.root / f"{key}-{digest[:16]}.npy"
        described |= {"file": data.name, "size": draft.stat().st_size, "sha256": digest}
        commit(draft, data)
        sidecar.write_text(json.dumps(described, indent=1), encoding="utf-8")
        for old in self.root.glob(f"{key}-*.npy"):
            if old != data:
                # Windows keeps files that someone has mapped; they are removed another time
                with suppress(OSError):
                    old.unlink()

    def _opened(self, described: Mapping[str, Any]) -> NDArray[Any]:
        data = self.root / described["file"]
        if data.stat().st_size != described["size"] or not has_hash(data, described["sha256"]):
            raise InputError(f"{data.name} does not hold what was written")
        # copy on write: the file stays as it is, and torch.from_numpy has no read-only array to warn of
        array: NDArray[Any] = np.load(data, mmap_mode="c", allow_pickle=False)
        if list(array.shape) != described["shape"] or array.dtype.name != described["dtype"]:
            raise InputError(f"{data.name} is {array.dtype} {array.shape}, not what was written")
        return array
