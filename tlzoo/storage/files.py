"""The cache folder, and files that appear complete or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import time
from functools import cache
from pathlib import Path

__all__ = [
    "commit",
    "draft_name",
    "file_sha256",
    "forget_hashes",
    "has_hash",
    "home",
    "keep_file",
    "replace_file",
    "sweep",
]

_log = logging.getLogger(__name__)

_PART = ".part"

_hashes: dict[Path, tuple[object, ...]] = {}
"""Files whose hash this process has verified, with their state at that time."""


def home() -> Path:
    """Return the cache folder: ``TLZOO_HOME``, or the platform's cache folder."""
    chosen = os.environ.get("TLZOO_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("tlzoo", appauthor=False))


def draft_name(final: Path) -> Path:
    """Return a new name next to ``final`` for an unfinished version of it."""
    return final.with_name(f"{final.name}.{secrets.token_hex(6)}{_PART}")


def commit(draft: Path, final: Path) -> None:
    """Sync a finished file or folder to the disk and rename it to ``final``, replacing an older version.

    Args:
        draft: path on the file system of ``final``.
        final: path; an existing folder there is moved next to ``draft``.
    """
    for file in draft.rglob("*") if draft.is_dir() else (draft,):
        if file.is_file():
            _sync(file)
    if draft.is_dir() and final.exists():
        os.replace(final, draft.with_name(f"{draft.name}.old"))
    os.replace(draft, final)
    if hasattr(os, "O_DIRECTORY"):  # not on Windows, where a folder cannot be synced
        _sync(final.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees either the old or the complete new contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_name(path)
    try:
        draft.write_bytes(data)
        commit(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def keep_file(path: Path, data: bytes) -> None:
    """Write a file of an optional cache; if that fails, log a warning once per folder."""
    try:
        replace_file(path, data)
    except OSError as error:
        _say_not_kept(path.parent, error.strerror or str(error))


@cache
def _say_not_kept(folder: Path, why: str) -> None:
    _log.warning("%s is not writable (%s): its contents are computed again in every run", folder, why)


def sweep(folder: Path, name: str = "*", *, older_than: float) -> int:
    """Remove unfinished versions that killed processes left in a folder; return their number.

    Args:
        folder: the folder.
        name: name of the file or folder that was being made; by default all.
        older_than: seconds since the last change.
    """
    removed = 0
    for left in folder.glob(f"{name}.*{_PART}"):
        try:
            if time.time() - left.stat().st_mtime >= older_than:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
                removed += 1
        except OSError:  # another process was faster
            continue
    return removed


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_hash(path: Path, sha256: str) -> bool:
    """Whether a file has this sha256. Each process reads a file once, and again whenever it has changed.

    Raises:
        OSError: there is no such file.
    """
    info = path.stat()
    state = sha256, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino
    if _hashes.get(path) != state:
        if file_sha256(path) != sha256:
            return False
        _hashes[path] = state
    return True


def forget_hashes() -> None:
    """Verify every file again, as a new process does."""
    _hashes.clear()
