"""A worker process of the pool: ``python -m tlzoo.bench.execution.pool_worker STORE PROTOCOL``.

It reads cells as lines of JSON and answers with lines of JSON: ``{"fraction": 0.5}`` while a cell runs, then ``{"done":
hash, "error": null or text, "memory": bytes}``. When its input ends, it stops at once, even in the middle of a cell,
because the runner is gone. It is a new process instead of a fork, so threads are set before any library starts and a
user's script needs no main guard.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import TextIO

from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import execute
from tlzoo.bench.execution.resources import peak_memory
from tlzoo.bench.store import Store

__all__ = ["main"]

_SECONDS_BETWEEN_NEWS = 0.2


def main(arguments: list[str]) -> None:
    """Run cells until the input ends."""
    root, protocol = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner decides
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # output of a library must not look like an answer
    cells = _Cells()
    store = Store(root)
    while (line := cells.get()) is not None:
        cell = Cell.from_json(json.loads(line))
        error = execute(cell, store, protocol, _Progress(answers))
        cells.busy = False
        answers.write(json.dumps({"done": cell.hash, "error": error, "memory": peak_memory()}) + "\n")


class _Cells:
    """The lines of the input, read in parallel to the running cell so that the end of the input is noticed."""

    def __init__(self) -> None:
        self.busy = False
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def get(self) -> str | None:
        """Wait for the next line; None at the end."""
        return self._lines.get()

    def _read(self) -> None:
        for line in sys.stdin:
            self.busy = True
            self._lines.put(line)
        if self.busy:
            os._exit(1)  # the runner sends one cell at a time and ends only idle workers, so it is gone
        self._lines.put(None)


class _Progress:
    """Sends the progress, at most a few times per second."""

    def __init__(self, answers: TextIO) -> None:
        self._answers, self._last = answers, 0.0

    def __call__(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_NEWS:
            self._last = now
            self._answers.write(json.dumps({"fraction": min(max(float(fraction), 0.0), 1.0)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
