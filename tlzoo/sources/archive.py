"""Reads wheels and sdists without installing them."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tlzoo.sources.errors import SourceError

__all__ = ["read_members", "unpack", "unpacked_problem"]


def read_members(archive: Path, patterns: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and contents of the files in a wheel (``.whl``) or sdist (``.tar.gz``) that match a pattern.

    Raises:
        SourceError: a match would be written outside its folder, or is not a regular file.
    """
    patterns = tuple(patterns)
    read = _zip_members if archive.suffix == ".whl" else _tar_members
    yield from read(archive, patterns)


def unpack(archive: Path, patterns: Iterable[str], folder: Path) -> None:
    """Write the matching members below ``folder``, an existing, empty folder.

    Raises:
        SourceError: a member is refused, or no member matches.
    """
    count = 0
    for name, contents in read_members(archive, patterns):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
        count += 1
    if not count:
        raise SourceError(f"{archive.name} holds nothing that matches {', '.join(patterns)}")


def unpacked_problem(archive: Path, patterns: Iterable[str], folder: Path) -> str | None:
    """Return how ``folder`` differs from the members of the archive, byte for byte, or None if it does not."""
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    for name, contents in read_members(archive, patterns):
        path = folder / name
        if name not in left or path.is_symlink():
            return f"{path} is missing"
        if path.read_bytes() != contents:
            return f"{path} was changed"
        left.discard(name)
    return f"{folder / min(left)} does not belong there" if left else None


def _wanted(name: str, patterns: tuple[str, ...], *, regular: bool) -> bool:
    if not any(fnmatchcase(name, pattern) for pattern in patterns):
        return False
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SourceError(f"member {name!r} would be written outside of its folder; the archive is refused")
    if not regular:
        raise SourceError(f"member {name!r} is a link or a device; the archive is refused")
    return True


def _zip_members(archive: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            if not info.is_dir() and _wanted(info.filename, patterns, regular=mode in (0, stat.S_IFREG)):
                yield info.filename, file.read(info)


def _tar_members(archive: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as file:
        for info in file:
            if not info.isdir() and _wanted(info.name, patterns, regular=info.isreg()):
                opened = file.extractfile(info)
                assert opened is not None  # regular files open
                yield info.name, opened.read()
