"""Runs one cell with the same numbers in any executor, and stores its outcome or failure."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import platform
import random
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

import tlzoo
from tlzoo.bench.cell import Cell, OnProgress, Outcome
from tlzoo.bench.execution.multi_device import execute_together
from tlzoo.bench.planning_cache import dependency_versions
from tlzoo.bench.store import Store
from tlzoo.errors import InputTypeError
from tlzoo.spelling import printable

__all__ = ["execute", "execute_alone", "provenance", "reproducible", "undisturbed"]


def execute(cell: Cell, store: Store, protocol: str, on_progress: OnProgress) -> str | None:
    """Run a cell and store its outcome or failure.

    Args:
        cell: the cell to run.
        store: the store for its outcome or failure.
        protocol: name of the module whose ``run(cell, on_progress)`` returns the outcome.
        on_progress: gets the progress.

    Returns:
        None, or the last line of the traceback if the cell failed.
    """
    run = execute_alone if cell.processes == 1 else execute_together
    return run(cell, store, protocol, on_progress)


def execute_alone(cell: Cell, store: Store, protocol: str, on_progress: OnProgress) -> str | None:
    """Run a cell in this process, alone or as one of several; see :func:`execute`."""
    begun, clock = datetime.now(UTC), time.perf_counter()
    notes = {"began": begun.isoformat(timespec="seconds"), **provenance()}
    try:
        loaded = importlib.import_module(protocol)
        getattr(loaded, "protocol_of", lambda _: None)(cell)
        clock = time.perf_counter()  # a worker's first cell does not pay for what it imports
        with reproducible(cell.seed, cell.threads):
            outcome = loaded.run(cell, on_progress)
        if not isinstance(outcome, Outcome):
            raise InputTypeError(f"{protocol}.run returned {type(outcome).__name__}; expected an Outcome")  # noqa: TRY301
        store.write(cell, outcome, {**notes, "seconds": round(time.perf_counter() - clock, 3)})
    except Exception as error:
        text = traceback.format_exc()
        with contextlib.suppress(OSError):  # the disk itself may have failed: then only the caller is told
            store.write_failure(cell, text, {**notes, "seconds": round(time.perf_counter() - clock, 3)})
        return printable("".join(traceback.format_exception_only(error)).strip().splitlines()[-1])
    finally:
        gc.collect()  # modules and trainers refer to each other, so a worker would keep the data of several cells
    return None


@contextlib.contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seed every generator, fix the number of threads and enable deterministic algorithms; then restore everything.

    An in-process cell runs in the caller's process, so no setting may stay changed.
    """
    import torch
    from threadpoolctl import threadpool_limits

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        with undisturbed(), threadpool_limits(limits=threads):
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002  # libraries draw from it
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(before[1])
        torch.set_num_threads(before[0])


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Restore every CPU generator afterwards, so that the code inside does not affect later code."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def provenance() -> dict[str, Any]:
    """Return versions, host and commit, which are worth knowing but not part of a result's identity."""
    return dict(_provenance())


@cache
def _provenance() -> dict[str, Any]:
    return {
        "tlzoo": tlzoo.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "commit": _commit(),
        "versions": dependency_versions(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of the package's checkout, with "+" if files differ from it, or None without a checkout."""
    import subprocess
    from pathlib import Path

    folder = Path(tlzoo.__file__).parent.parent
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "tlzoo")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
