"""The cache folder, and files that appear in it whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

__all__ = ["home", "lock", "staging"]

_PART = ".part"


def home() -> Path:
    """Return the cache folder: ``TLZOO_HOME``, or the platform's cache folder."""
    chosen = os.environ.get("TLZOO_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("tlzoo", appauthor=False))


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock ``name`` of this cache folder; a second process waits.

    The lock only saves work that would be done twice: :func:`staging` alone keeps files whole, so that file systems
    without locks are safe too.
    """
    from filelock import FileLock

    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield


@contextmanager
def staging(final: Path, *, sweep: bool = False) -> Iterator[Path]:
    """Yield a new folder beside ``final`` to work in; it is gone afterwards, whatever happens.

    Move what is finished out of it with :func:`os.replace`: both lie on one file system.

    Args:
        final: what is being made.
        sweep: remove folders that killed processes left; only while holding the lock that guards ``final``.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{final.name}."
    if sweep:
        for left in final.parent.glob(f"{prefix}*{_PART}"):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(mkdtemp(prefix=prefix, suffix=_PART, dir=final.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
