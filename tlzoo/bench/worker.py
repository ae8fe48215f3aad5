"""A worker process of the pool: ``python -m tlzoo.bench.worker STORE PROTOCOL``.

Reads cells as lines of JSON, answers with lines of JSON: ``{"fraction": 0.5}`` while a cell runs, then
``{"done": hash, "error": null or text}``. It ends when its input does, so it never outlives the run by more than
the cell in flight. A process of its own kind rather than a fork: threads are set before any library starts, and a
user's script needs no main guard.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TextIO

from tlzoo.bench.cell import Cell
from tlzoo.bench.execute import execute
from tlzoo.bench.store import Store

__all__ = ["main"]

_REPORT_SECONDS = 0.2


def main(arguments: list[str]) -> None:
    """Serve until the input ends."""
    root, protocol = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner decides
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    store = Store(root)
    try:
        for line in sys.stdin:
            cell = Cell.from_json(json.loads(line))
            error = execute(cell, store, protocol, _Reporter(answers))
            answers.write(json.dumps({"done": cell.hash, "error": error}) + "\n")
    except BrokenPipeError:
        os._exit(1)  # the runner is gone; its store has what was finished


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
