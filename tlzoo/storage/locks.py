"""Things that are made once, though several processes ask for them at the same time."""

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
"""Seconds after which unfinished work belongs to nobody, where no lock says so."""


def made_once(final: Path, make: Callable[[Path], object], *, is_whole: Callable[[Path], bool] = Path.exists) -> Path:
    """Return ``final``, a file or a folder, which is made now if it is not there or not whole.

    A second process that asks for it waits for the first. On a file system without locks both do the work, and what is
    read is whole all the same.

    Args:
        final: its name.
        make: writes the file or folder under the name that it is given, in a new folder that is gone afterwards.
        is_whole: says whether what bears the name can be read.

    Raises:
        OSError: it is not there and cannot be written.
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
    """Hold the lock of what will be ``final``; yield False where the file system has no locks, which is said once.

    Raises:
        OSError: the folder of ``final`` cannot be written.
    """
    held = _acquired(final)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.release()


def claim(final: Path) -> Callable[[], None] | None:
    """Take the lock of ``final`` where nobody has it; return what gives it back, or None where somebody has.

    A process that ends gives it back, however it ends. Where the file system has no locks everybody takes it.

    Raises:
        OSError: the folder of ``final`` cannot be written.
    """
    from filelock import Timeout

    try:
        held = _acquired(final, timeout=0)
    except Timeout:
        return None

    def give_back() -> None:
        if held is not None:
            Path(held.lock_file).unlink(missing_ok=True)  # who waits for the old file does work twice at worst
            held.release()

    return give_back


def _acquired(final: Path, timeout: float = -1) -> BaseFileLock | None:
    """Return the lock of ``final``, held; None where there are no locks."""
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
            what = f"{final.name} is not there, and {final.parent} cannot be written: {error.strerror}"
            raise OSError(error.errno, f"{what}; choose another folder (TLZOO_HOME for the cache)") from error
        _say_no_locks(final.parent)
        return None
    return held


@cache
def _say_no_locks(folder: Path) -> None:
    _log.warning("%s lies on a file system without locks: processes that start together may do work twice", folder)
