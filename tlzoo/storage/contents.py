"""Hashes of the contents of users' files, computed again only if the files change."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

from tlzoo.storage.files import file_sha256, home, keep_file

__all__ = ["content_hashes"]

_log = logging.getLogger(__name__)

_SETTLED = 2.0
"""Seconds after which another change of a file shows in its stamp, on file systems with coarse clocks."""

_VERIFIED = 8
_THREADS = 4
_MANY = 2**30

Stamp = tuple[int, int, int, int]


def content_hashes(
    root: Path, files: Sequence[Path], *, check: Callable[[Path], object] | None = None
) -> dict[str, str]:
    """Return the sha256 of files by their path below ``root``.

    Hashes are cached under a stamp of each file (size, modification times, inode), so a folder is read only once. A few
    of them are verified each time; if one is wrong, all files are read again.

    Args:
        root: folder of the files.
        files: the files to hash.
        check: called with every file that is read; its errors are passed on.

    Raises:
        OSError: a file cannot be read.
    """
    kept_in = home() / "contents" / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.json"
    paths = {file.relative_to(root).as_posix(): file for file in files}
    stamps = {name: _stamp(file) for name, file in paths.items()}
    known = {name: digest for name, (stamp, digest) in _kept(kept_in).items() if stamps.get(name) == stamp}
    if _is_wrong(known, paths):
        _log.warning("files in %s changed without a trace in their times; reading all of them again", root)
        known = {}
    fresh = [name for name in paths if name not in known]
    if (size := sum(stamps[name][0] for name in fresh)) > _MANY:
        _log.info("hashing %d files in %s, %.1f GB, once", len(fresh), root, size / 1e9)
    started = time.time_ns()

    def read(name: str) -> str:
        if check is not None:
            check(paths[name])
        return file_sha256(paths[name])

    with ThreadPoolExecutor(_THREADS) as pool:
        found = known | dict(zip(fresh, pool.map(read, fresh), strict=True))
    settled = [name for name in paths if max(stamps[name][1:3]) < started - _SETTLED * 1e9]
    if set(settled) - set(known):
        keep_file(kept_in, json.dumps({name: [stamps[name], found[name]] for name in settled}).encode())
    return {name: found[name] for name in paths}


def _stamp(file: Path) -> Stamp:
    info = file.stat()
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino


def _kept(file: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        entries = json.loads(file.read_text("utf-8"))
        return {name: (tuple(stamp), digest) for name, (stamp, digest) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _is_wrong(known: dict[str, str], paths: dict[str, Path]) -> bool:
    """Return whether one of a few files, different ones each time, no longer has its known hash."""
    drawn = SystemRandom().sample(sorted(known), min(_VERIFIED, len(known)))
    return any(file_sha256(paths[name]) != known[name] for name in drawn)
