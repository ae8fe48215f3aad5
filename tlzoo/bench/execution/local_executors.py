"""Executors run cells in this process, in a pool of workers, or on a cluster, with the same results."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Protocol

from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import execute, provenance
from tlzoo.bench.execution.resources import Room, worker_environment
from tlzoo.bench.execution.waiting_cells import WaitingCells
from tlzoo.bench.shared_extensions import require_shared
from tlzoo.bench.store import Store
from tlzoo.errors import InputError

__all__ = ["Executor", "InProcess", "Listener", "Pool", "execute_within"]

_LOOK_AGAIN_SECONDS = 1.0


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
        """Run ``cells`` in the order given; cells that another run is working on come last."""
        waiting = WaitingCells(cells, store, listener.finished)
        while waiting:
            cell = waiting.take()
            if cell is None:
                time.sleep(_LOOK_AGAIN_SECONDS if waiting else 0)
                continue
            try:
                error = execute(cell, store, protocol, lambda fraction, cell=cell: listener.progress(cell, fraction))  # type: ignore[misc]
            finally:
                waiting.put_away(cell)
            listener.finished(cell, error)


class Pool:
    """Runs cells in worker processes with one library thread each.

    If a worker dies (killed, out of memory) or exceeds the limit for a cell, its cell fails and another worker takes
    its place.

    Args:
        workers: number of processes; by default as many as cores and memory allow
            (:class:`~tlzoo.bench.execution.resources.Room`), and fewer if cells need more memory than expected.
        cell_timeout: seconds that a cell may take, including the start of a worker; no limit by default.
    """

    def __init__(self, workers: int | None = None, cell_timeout: float | None = None) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"{workers} workers; expected at least 1")
        if cell_timeout is not None and not 0 < cell_timeout < math.inf:
            raise InputError(f"cell_timeout {cell_timeout}; expected seconds > 0, or none for no limit")
        self.workers, self.cell_timeout = workers, cell_timeout

    def run(self, cells: Sequence[Cell], store: Store, protocol: str, listener: Listener) -> None:
        """Run ``cells``, each on the first free worker; cells that another run is working on come last.

        Raises:
            ValueError: a cell uses something that workers cannot import.
        """
        require_shared(cells)
        waiting = WaitingCells(cells, store, listener.finished)
        events: queue.Queue[tuple[_Worker, dict[str, object] | None]] = queue.Queue()
        workers: set[_Worker] = set()
        room = Room(cells)
        try:
            while workers or waiting:
                while len(workers) < (self.workers or room.workers) and (cell := waiting.take()) is not None:
                    workers.add(_Worker(store, protocol, cell, events.put))
                if not workers and not waiting:
                    break  # another run finished the last ones
                try:
                    worker, answer = events.get(timeout=self._patience(workers, waiting))
                except queue.Empty:
                    self._end_overdue(workers)
                    continue
                if answer is None:
                    workers.remove(worker)
                    if worker.cell is not None:
                        waiting.put_away(worker.cell)
                        listener.finished(worker.cell, self._record_death(worker, worker.cell, store))
                    worker.close()
                elif "fraction" in answer and worker.cell is not None:
                    listener.progress(worker.cell, float(str(answer["fraction"])))
                elif worker.cell is not None:
                    error = answer["error"]
                    waiting.put_away(worker.cell)
                    listener.finished(worker.cell, None if error is None else str(error))
                    room.saw(answer["memory"])  # type: ignore[arg-type]  # bytes, or None
                    fits = len([each for each in workers if each.cell is not None]) <= (self.workers or room.workers)
                    worker.give(waiting.take() if fits and not worker.overdue else None)
        finally:
            for worker in workers:
                worker.kill()
            waiting.leave()

    def _patience(self, workers: Iterable[_Worker], waiting: WaitingCells) -> float | None:
        """Return the number of seconds until limits and locks are checked, even if no worker sends anything."""
        times = [_LOOK_AGAIN_SECONDS] if waiting else []
        if self.cell_timeout is not None:
            now = time.monotonic()
            times += [
                max(each.begun + self.cell_timeout - now, 0.0)
                for each in workers
                if each.cell is not None and not each.overdue
            ]
        return min(times, default=None)

    def _end_overdue(self, workers: Iterable[_Worker]) -> None:
        for worker in workers:
            late = self.cell_timeout is not None and time.monotonic() - worker.begun >= self.cell_timeout
            if late and worker.cell is not None and not worker.overdue:
                worker.overdue = True
                worker.process.kill()  # its thread reports the death

    def _record_death(self, worker: _Worker, cell: Cell, store: Store) -> str | None:
        if store.read(cell) is not None:
            return None  # it died between storing the cell and saying so
        code = worker.process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "; the system does this when memory runs out: try fewer workers" if code == -9 else ""
        error = f"WorkerDied: the process that ran this cell {how}{hint}"
        if worker.overdue:
            error = f"TimedOut: the cell did not finish within {self.cell_timeout:g} s (cell_timeout)"
        with contextlib.suppress(OSError):  # a full disk: the listener is told all the same
            store.write_failure(cell, f"{worker.last_words()}\n{error}", provenance())
        return error


def execute_within(cell: Cell, store: Store, protocol: str, cell_timeout: float | None) -> str | None:
    """Run one cell, in its own process if it has a limit; return its error if it failed."""
    if cell_timeout is None:
        return execute(cell, store, protocol, lambda _: None)
    Pool(1, cell_timeout).run([cell], store, protocol, _Nobody())
    failure = store.failure(cell)
    return None if failure is None else failure.last_line


class _Nobody:
    """A listener that ignores everything."""

    def progress(self, cell: Cell, fraction: float) -> None: ...

    def finished(self, cell: Cell, error: str | None) -> None: ...


"""Name -> function that creates an executor from a number of workers, an address and a limit per cell, or None each."""


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
        self.overdue, self.begun = False, 0.0
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tlzoo.bench.execution.pool_worker", str(store.root), protocol],
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
        self.cell, self.begun = cell, time.monotonic()
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
