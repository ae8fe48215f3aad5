"""Executors run cells in this process, in a pool of workers, or on a cluster, with the same results."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, Protocol

from tlzoo.bench.cell import Cell
from tlzoo.bench.execute import execute, provenance
from tlzoo.bench.extensions import require_shared
from tlzoo.bench.resources import Room, worker_environment
from tlzoo.bench.store import Store

__all__ = ["EXECUTORS", "Executor", "InProcess", "Listener", "Pool"]


class Listener(Protocol):
    """Receives the progress of cells."""

    def progress(self, cell: Cell, fraction: float) -> None:
        """Receive the progress of ``cell``."""
        ...

    def finished(self, cell: Cell, error: str | None) -> None:
        """Receive that ``cell`` is stored, or why it failed."""
        ...


class Executor(Protocol):
    """Runs cells; when it returns, every cell is in the store, finished or failed."""

    def run(self, cells: Sequence[Cell], store: Store, protocol: str, listener: Listener) -> None:
        """Run ``cells`` with ``protocol`` and write the outcomes to ``store``."""
        ...


class InProcess:
    """Runs one cell after the other in this process, for debugging or if no processes can be started."""

    def run(self, cells: Sequence[Cell], store: Store, protocol: str, listener: Listener) -> None:
        """Run ``cells`` in the order given."""
        for cell in cells:
            error = execute(cell, store, protocol, lambda fraction, cell=cell: listener.progress(cell, fraction))  # type: ignore[misc]
            listener.finished(cell, error)


class Pool:
    """Runs cells in worker processes with one library thread each.

    If a worker dies (killed, out of memory), its cell fails and another worker takes its place.

    Args:
        workers: number of processes; by default as many as cores and memory allow
            (:class:`~tlzoo.bench.resources.Room`), and fewer if cells need more memory than expected.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"{workers} workers; expected at least 1")
        self.workers = workers

    def run(self, cells: Sequence[Cell], store: Store, protocol: str, listener: Listener) -> None:
        """Run ``cells``, each on the first free worker.

        Raises:
            ValueError: a cell uses something that workers cannot import.
        """
        require_shared(cells)
        waiting = list(reversed(cells))
        events: queue.Queue[tuple[_Worker, dict[str, object] | None]] = queue.Queue()
        workers: set[_Worker] = set()
        room = Room(cells)
        try:
            while waiting and len(workers) < (self.workers or room.workers):
                workers.add(_Worker(store, protocol, waiting.pop(), events.put))
            while workers:
                worker, answer = events.get()
                if answer is None:
                    workers.remove(worker)
                    if worker.cell is not None:
                        listener.finished(worker.cell, _record_death(worker, worker.cell, store))
                    worker.close()
                    if waiting and len(workers) < (self.workers or room.workers):
                        workers.add(_Worker(store, protocol, waiting.pop(), events.put))
                elif "fraction" in answer and worker.cell is not None:
                    listener.progress(worker.cell, float(str(answer["fraction"])))
                elif worker.cell is not None:
                    error = answer["error"]
                    listener.finished(worker.cell, None if error is None else str(error))
                    room.saw(answer["memory"])  # type: ignore[arg-type]  # bytes, or None
                    fits = len([each for each in workers if each.cell is not None]) <= (self.workers or room.workers)
                    worker.give(waiting.pop() if waiting and fits else None)
        finally:
            for worker in workers:
                worker.kill()


def _in_process(_: int | None, address: str | None) -> Executor:
    _refuse_address("in_process", address)
    return InProcess()


def _pool(workers: int | None, address: str | None) -> Executor:
    _refuse_address("pool", address)
    return Pool(workers)


def _ray(workers: int | None, address: str | None) -> Executor:
    from tlzoo.bench.clusters import RayCluster

    return RayCluster(workers, address)


def _slurm(workers: int | None, address: str | None) -> Executor:
    from tlzoo.bench.clusters import Slurm

    return Slurm(workers, address)


def _refuse_address(name: str, address: str | None) -> None:
    if address is not None:
        raise ValueError(f"{name} runs on this machine; --address {address} is for ray and slurm")


EXECUTORS: dict[str, Callable[[int | None, str | None], Executor]] = {
    "in_process": _in_process,
    "pool": _pool,
    "ray": _ray,
    "slurm": _slurm,
}
"""Name -> function that creates an executor from a number of workers and an address, either of them None."""


class _Worker:
    """A worker process and the thread that reads its answers; a dead worker answers ``None``."""

    def __init__(
        self,
        store: Store,
        protocol: str,
        cell: Cell,
        answer: Callable[[tuple[_Worker, dict[str, object] | None]], None],
    ) -> None:
        self.cell: Cell | None = None
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tlzoo.bench.worker", str(store.root), protocol],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=worker_environment(cell.threads),
        )
        self._answer = answer
        self.give(cell)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def give(self, cell: Cell | None) -> None:
        """Send the next cell; None ends the worker."""
        self.cell = cell
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: the listening thread will report it
            if cell is None:
                self.process.stdin.close()
            else:
                self.process.stdin.write(json.dumps(cell.to_json()) + "\n")
                self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):  # a line torn by the worker's death
                self._answer((self, json.loads(line)))
        self.process.wait()
        self._answer((self, None))

    def close(self) -> None:
        """Close the pipes of a finished process."""
        for pipe in (self.process.stdin, self.process.stdout, self._said):
            with contextlib.suppress(OSError):  # closing flushes, but nobody reads any more
                pipe.close()  # type: ignore[union-attr]  # all three are pipes

    def last_words(self) -> str:
        """Return the end of the process's standard error."""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 4000))
        return self._said.read().decode(errors="replace").strip()

    def kill(self) -> None:
        """Kill the process: the running cell is lost, finished cells are stored."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self.close()


def _record_death(worker: _Worker, cell: Cell, store: Store) -> str | None:
    if store.read(cell) is not None:
        return None  # it died between storing the cell and reporting it
    code = worker.process.returncode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    hint = "; the system does this when memory runs out: try fewer workers" if code == -9 else ""
    error = f"WorkerDied: the process that ran this cell {how}{hint}"
    with contextlib.suppress(OSError):  # a full disk: the listener still gets the error
        store.write_failure(cell, f"{worker.last_words()}\n{error}", provenance())
    return error
