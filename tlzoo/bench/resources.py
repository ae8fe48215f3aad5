"""What the machine has, and what processes of ours are given: cores, memory, environment variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tlzoo.bench.cell import Cell

__all__ = ["Room", "available_memory", "cores", "import_path", "peak_memory", "worker_environment"]

WORKER_BYTES = 768 * 2**20
"""What a worker is taken to need where nothing is known of it: torch, Lightning and their libraries hold about 600 MB
before the first cell, cells on features some ten more."""

_CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Where Linux keeps the limit of a container, and what is used of it: version 2, version 1."""


def cores() -> int:
    """Return how many cores this process may use: its affinity and the quota of a container count."""
    import joblib  # psutil knows no quota

    return int(joblib.cpu_count())


def available_memory() -> int:
    """Return the bytes that new processes may fill, within the limit of a container."""
    machine, container = _machine_memory(), _container_memory()
    return machine if container is None else min(machine, container)


def _machine_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _container_memory() -> int | None:
    """Return what the container's limit leaves; None without one. psutil sees the machine, not the container."""
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
    """Return the most bytes that this process held at a time; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        # psutil has no peak on Linux, and getrusage begins with what the parent held
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, StopIteration):
        return None


class Room:
    """How many workers have room in the cores and the memory that are free when a run begins.

    A worker counts as many cores as its largest cell has threads and processes, and as much memory as the largest that
    was seen, at first ``WORKER_BYTES``. A tenth of the memory stays free.

    Args:
        cells: that will be run.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        wanted = list(cells)
        self._processes = max((cell.processes for cell in wanted), default=1)
        self._cores = max(cores() // max((cell.threads * cell.processes for cell in wanted), default=1), 1)
        self._memory = int(0.9 * available_memory())
        self._each = WORKER_BYTES

    def saw(self, peak: int | None) -> None:
        """Take note of the most bytes that a worker held."""
        self._each = max(self._each, peak or 0)

    @property
    def workers(self) -> int:
        """How many workers have room, at least one."""
        return max(min(self._cores, self._memory // (self._each * self._processes)), 1)


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that runs cells of so many threads."""
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        **os.environ,
        **{f"{library}_NUM_THREADS": str(threads) for library in libraries},
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONPATH": import_path(),
    }


def import_path() -> str:
    """Return what makes other processes import what this one can."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)
