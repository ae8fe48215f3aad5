"""Runs the cells that a store lacks and shows the progress."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.local_executors import Executor, InProcess
from tlzoo.bench.planning_cache import DEFAULT_PROTOCOL
from tlzoo.bench.store import Store
from tlzoo.spelling import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["RunSummary", "run_cells"]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Counts of what a run did.

    Attributes:
        stored: number of cells that were finished before.
        finished: number of cells that this run, or another run on the same store, finished meanwhile.
        failed: cells that failed, with the last line of the traceback.
    """

    stored: int
    finished: int
    failed: dict[Cell, str]


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    executor: Executor | None = None,
    protocol: str = DEFAULT_PROTOCOL,
    console: Console | None = None,
) -> RunSummary:
    """Run the cells that are not in the store; failed ones run again.

    Args:
        cells: the cells that should be in the store afterwards.
        store: the store for the outcomes.
        executor: runs the cells; by default this process.
        protocol: module with ``run(cell, on_progress)`` and ``prepare(cells)``, which is called once for all missing
            cells (shared features, downloads).
        console: shows the progress; None shows nothing.

    Raises:
        OSError: the store is not writable.
    """
    unique = list({cell.hash: cell for cell in cells}.values())
    stored = store.finished(unique)
    missing = [cell for cell in unique if cell not in stored]
    failed: dict[Cell, str] = {}
    if missing:
        store.probe()  # what cannot be stored need not be run
        store.clean()
        _prepare(missing, protocol, console)
        with _bar(len(missing), console) as bar:
            listener = _Progress(bar, failed)
            (executor or InProcess()).run(missing, store, protocol, listener)
    return RunSummary(stored=len(stored), finished=len(missing) - len(failed), failed=failed)


def _prepare(cells: Sequence[Cell], protocol: str, console: Console | None) -> None:
    """Let the protocol prepare shared data; an error shows again, with its traceback, in the affected cells."""
    status = console.status("preparing data and features") if console else contextlib.nullcontext()
    with status:
        try:
            importlib.import_module(protocol).prepare(cells)
        except Exception as error:
            if console:
                why = f"{type(error).__name__}: {error}"
                console.print(f"preparing failed ({printable(why)}); cells go on alone", style="yellow", markup=False)


@contextlib.contextmanager
def _bar(total: int, console: Console | None) -> Iterator[tuple[Progress, TaskID] | None]:
    if console is None:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        *(TextColumn("{task.fields[count]}"), BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f} %")),
        *(
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            TextColumn("{task.description}", style="dim", markup=False),
        ),
    )
    with Progress(*columns, console=console) as progress:
        yield progress, progress.add_task("", total=total, count=f"0/{total} cells")


class _Progress:
    """Combines the progress of all cells in one bar."""

    def __init__(self, bar: tuple[Progress, TaskID] | None, failed: dict[Cell, str]) -> None:
        self._bar, self._failed = bar, failed
        self._shares: dict[Cell, float] = {}
        self._ended: set[Cell] = set()

    def progress(self, cell: Cell, fraction: float) -> None:
        self._shares[cell] = fraction
        self._show(cell)

    def finished(self, cell: Cell, error: str | None) -> None:
        """Count a cell as done, and show its error if it failed."""
        self._shares[cell] = 1.0
        self._ended.add(cell)
        if error is not None:
            self._failed[cell] = error
            if self._bar:
                self._bar[0].console.print(f"failed: {cell}: {error}", style="red", markup=False, highlight=False)
        self._show(cell)
        if self._bar and not self._bar[0].console.is_terminal:
            # a bar cannot move in a log file: there, each cell prints a line
            task = self._bar[0].tasks[0]
            line = f"{task.fields['count']}, {task.elapsed or 0:.0f} s: {cell}"
            self._bar[0].console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show(self, cell: Cell) -> None:
        if self._bar:
            progress, task = self._bar
            total = int(progress.tasks[0].total or 0)
            progress.update(
                task,
                completed=sum(self._shares.values()),
                count=f"{len(self._ended)}/{total} cells",
                description=f"{cell.label}, seed {cell.seed}",
            )
