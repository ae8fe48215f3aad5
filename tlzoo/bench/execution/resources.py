"""Cores and memory of the machine, and the environment of worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tlzoo.bench.cell import Cell

__all__ = ["Room", "available_memory", "cores", "import_path", "peak_memory", "worker_environment"]

WORKER_BYTES = 768 * 2**20
"""Initial estimate of a worker's memory: torch, Lightning and their libraries take about 600 MB before the first cell,
and cells on features add some ten MB."""

_CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Where Linux keeps the memory limit and usage of a container, in versions 2 and 1."""


def cores() -> int:
    """Return how many cores this process may use, by its affinity and the quota of its container."""
    import joblib  # psutil does not know quotas

    return int(joblib.cpu_count())


def available_memory() -> int:
    """Return the bytes that new processes may fill, within the limit of a container."""
    machine, container = _machine_memory(), _container_memory()
    return machine if container is None else min(machine, container)


def _machine_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _container_memory() -> int | None:
    """Return the memory left in the container, or None without a limit; psutil only sees the machine."""
    for folder, limit, used in _CONTROL_GROUPS:
        try:
            most = int((folder / limit).read_text(encoding="ascii"))
            held = int((folder / used).read_text(encoding="ascii"))
            stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        except (OSError, ValueError):
            continue  # no limit ("max"), or no control group of this version
        return max(most - held + int(stat.get("inactive_file", 0)), 0)  # cached files give way
    return None


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes, or None if the system does not report it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        # psutil has no peak on Linux, and getrusage begins with what the parent held
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, StopIteration):
        return None


class Room:
    """How many workers fit into the cores and the memory that are free when a run begins.

    A worker counts with the cores for the threads and processes of its largest cell, and with the largest peak memory
    seen so far, at first ``WORKER_BYTES``. A tenth of the memory stays free.

    Args:
        cells: the cells to run.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        wanted = list(cells)
        self._processes = max((cell.processes for cell in wanted), default=1)
        self._cores = max(cores() // max((cell.threads * cell.processes for cell in wanted), default=1), 1)
        self._memory = int(0.9 * available_memory())
        self._each = WORKER_BYTES

    def saw(self, peak: int | None) -> None:
        """Record the peak memory of a worker."""
        self._each = max(self._each, peak or 0)

    @property
    def workers(self) -> int:
        """The number of workers that fit, at least one."""
        return max(min(self._cores, self._memory // (self._each * self._processes)), 1)


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment of a process whose cells use this number of threads."""
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        **os.environ,
        **{f"{library}_NUM_THREADS": str(threads) for library in libraries},
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONPATH": import_path(),
    }


def import_path() -> str:
    """Return a PYTHONPATH with which other processes can import what this one can."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)
