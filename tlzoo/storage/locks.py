"""Files and folders that are made once, even if several processes need them at the same time."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tlzoo.storage.files import commit, draft_name, sweep

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["claim", "lock", "made_once"]

_log = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
_ABANDONED = 24 * 3600.0
"""Seconds after which unfinished work counts as abandoned if there is no lock to tell."""


def made_once(final: Path, make: Callable[[Path], object], *, is_whole: Callable[[Path], bool] = Path.exists) -> Path:
    """Return ``final``, a file or folder, and make it first if it is missing or damaged.

    If another process is making it, this one waits. On a file system without locks both do the work; the result is
    still complete.

    Args:
        final: path of the file or folder.
        make: writes the file or folder to the path that it gets, in a temporary folder that is removed afterwards.
        is_whole: whether the file or folder at a path is complete.

    Raises:
        OSError: it is missing and cannot be written.
    """
    if not is_whole(final):
        with lock(final) as alone:
            if not is_whole(final):
                _make(final, make, is_whole, alone=alone)
    return final


def _make(final: Path, make: Callable[[Path], object], is_whole: Callable[[Path], bool], *, alone: bool) -> None:
    sweep(final.parent, final.name, older_than=0.0 if alone else _ABANDONED)
    folder = draft_name(final)
    folder.mkdir()
    try:
        make(folder / final.name)
        try:
            commit(folder / final.name, final)
        except OSError:
            if not is_whole(final):  # without locks another process may have come first with the same contents
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lock(final: Path) -> Iterator[bool]:
    """Hold the lock of ``final``; yield False (and log a warning once) if the file system has no locks.

    Raises:
        OSError: the folder of ``final`` is not writable.
    """
    held = _acquired(final)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.release()


def claim(final: Path) -> Callable[[], None] | None:
    """Take the lock of ``final`` if it is free; return a function that releases it, or None if it is taken.

    The lock is released when the process ends, even if it is killed. On a file system without locks it is always free.

    Raises:
        OSError: the folder of ``final`` is not writable.
    """
    from filelock import Timeout

    try:
        held = _acquired(final, timeout=0)
    except Timeout:
        return None

    def give_back() -> None:
        if held is not None:
            Path(held.lock_file).unlink(missing_ok=True)  # at worst, someone who waits for the old file repeats work
            held.release()

    return give_back


def _acquired(final: Path, timeout: float = -1) -> BaseFileLock | None:
    """Acquire and return the lock of ``final``; None if the file system has no locks."""
    from filelock import FileLock, Timeout

    folder = final.parent / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / f"{final.name}.lock", thread_local=False)
        held.acquire(timeout=timeout)
    except Timeout:
        raise
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            what = f"{final.name} does not exist and {final.parent} is not writable: {error.strerror}"
            raise OSError(error.errno, f"{what}; choose another folder (TLZOO_HOME for the cache)") from error
        _say_no_locks(final.parent)
        return None
    return held


@cache
def _say_no_locks(folder: Path) -> None:
    _log.warning("%s is on a file system without locks: parallel processes may do the same work twice", folder)
