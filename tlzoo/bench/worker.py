"""A worker process of the pool: ``python -m tlzoo.bench.worker STORE PROTOCOL``.

Reads cells as lines of JSON, answers with lines of JSON: ``{"fraction": 0.5}`` while a cell runs, then
``{"done": hash, "error": null or text, "memory": bytes}``. It ends when its input does, at once even in the middle of
a cell: the runner is gone then. A process of its own kind rather than a fork: threads are set before any library
starts, and a user's script needs no main guard.
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
from tlzoo.bench.execute import execute
from tlzoo.bench.resources import peak_memory
from tlzoo.bench.store import Store

__all__ = ["main"]

_REPORT_SECONDS = 0.2


def main(arguments: list[str]) -> None:
    """Serve until the input ends."""
    root, protocol = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner decides
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    cells = _Cells()
    store = Store(root)
    while (line := cells.get()) is not None:
        cell = Cell.from_json(json.loads(line))
        error = execute(cell, store, protocol, _Reporter(answers))
        cells.busy = False
        answers.write(json.dumps({"done": cell.hash, "error": error, "memory": peak_memory()}) + "\n")


class _Cells:
    """The lines of the input, read beside the cell that runs so that the input's end is noticed."""

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
            os._exit(1)  # the runner hands over one cell at a time, and ends only idle workers: it is gone
        self._lines.put(None)


class _Reporter:
    """Sends the share that is done, a few times a second at most."""

    def __init__(self, answers: TextIO) -> None:
        self._answers, self._last = answers, 0.0

    def __call__(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            self._answers.write(json.dumps({"fraction": min(max(float(fraction), 0.0), 1.0)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
