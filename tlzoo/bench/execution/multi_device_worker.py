"""One process of a cell that trains on several devices.

:mod:`tlzoo.bench.execution.multi_device` starts it as ``python -m tlzoo.bench.execution.multi_device_worker FOLDER
PROTOCOL``; it ends with the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import execute_alone
from tlzoo.bench.store import Store

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the cell on standard input as the process whose number is in the environment."""
    folder, protocol = arguments
    cell = Cell.from_json(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_input, daemon=True).start()
    store = Store(folder)
    store.root.mkdir(parents=True, exist_ok=True)
    error = execute_alone(cell, store, protocol, lambda share: _note(store.root / "progress", share))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if error is None else 1)  # skip the groups of processes and threads, which would wait for one another


def _note(path: Path, share: float) -> None:
    path.write_text(f"{share:.4f}")


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(2)  # the process that started it is gone


if __name__ == "__main__":
    main(sys.argv[1:])
