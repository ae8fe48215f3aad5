"""Runs a cell that trains on several devices: starts its processes together, one per device.

Lightning's launchers run the caller's script again, which in a worker waits for cells, or fork in the middle of a
run, and lose the measurements. Therefore all processes of a cell start at its beginning and run it from the seed on,
each as one process with its own folder; the measurements of the first count. When one fails, the others, which wait for
it, are ended.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.execution.resources import worker_environment
from tlzoo.bench.shared_extensions import require_shared
from tlzoo.bench.store import Store

__all__ = ["execute_together"]

_POLL_SECONDS = 0.1


def execute_together(cell: Cell, store: Store, protocol: str, on_progress: OnProgress) -> str | None:
    """Run a cell in the processes that it requests; see :func:`tlzoo.bench.execution.one_cell.execute`.

    Raises:
        ValueError: the cell uses something that other processes cannot import.
    """
    require_shared([cell])
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        processes = [_Process(cell, protocol, number, port, Path(folder)) for number in range(cell.processes)]
        try:
            while (failed := next((process for process in processes if process.process.poll()), None)) is None:
                if all(process.process.poll() == 0 for process in processes):
                    break
                on_progress(processes[0].progress())
                time.sleep(_POLL_SECONDS)
        finally:
            for process in processes:
                process.end()
        if failed is None:
            store.adopt(processes[0].store.files(cell))
            return None
        return failed.record_failure(cell, store)


class _Process:
    """One of the processes."""

    def __init__(self, cell: Cell, protocol: str, number: int, port: int, folder: Path) -> None:
        self.number, self.store = number, Store(folder / str(number))
        self._said: IO[bytes] = (folder / f"{number}.said").open("w+b")
        addresses = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "LOCAL_RANK": str(number)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tlzoo.bench.execution.multi_device_worker", str(self.store.root), protocol],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._said,
            text=True,
            env={**worker_environment(cell.threads), **addresses},
        )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once; its last output says why
            self.process.stdin.write(json.dumps(cell.to_json()) + "\n")
            self.process.stdin.flush()

    def progress(self) -> float:
        """Return its progress as a share."""
        try:
            return float((self.store.root / "progress").read_text())
        except (OSError, ValueError):
            return 0.0  # not begun, or being written

    def record_failure(self, cell: Cell, store: Store) -> str:
        """Store the reason of the failure; return its last line."""
        store.adopt(self.store.files(cell))
        failure = store.failure(cell)
        if failure is not None and self.store.failure(cell) is not None:
            return failure.last_line
        error = f"WorkerDied: process {self.number} of this cell ended with code {self.process.returncode}"
        store.write_failure(cell, f"{self._last_words}\n{error}")
        return error

    def end(self) -> None:
        """End the process if it runs, and keep its output."""
        self.process.kill()
        self.process.wait()
        self._said.seek(0)
        self._last_words = self._said.read()[-4000:].decode(errors="replace").strip()
        for pipe in (self.process.stdin, self._said):
            with contextlib.suppress(OSError):  # closing flushes, and nobody reads any more
                pipe.close()  # type: ignore[union-attr]  # both are pipes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
