"""The cells that a run still has to do, shared with other runs on the same store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from tlzoo.bench.cell import Cell
from tlzoo.bench.store import Failure, Store

__all__ = ["WaitingCells"]


class WaitingCells:
    """A queue of cells that skips those that another run is working on.

    A run locks a cell when it takes it and unlocks it when it puts it away. If a run is killed, its locks are free
    again. On a file system without locks, two runs may run the same cell; the results are still correct.

    Args:
        cells: the cells to run.
        store: the store, which other runs may fill too.
        finished: called with each cell that another run finished meanwhile, and with its error if it failed.
    """

    def __init__(self, cells: Sequence[Cell], store: Store, finished: Callable[[Cell, str | None], None]) -> None:
        self._store, self._finished = store, finished
        self._cells = deque((cell, store.failure(cell)) for cell in cells)
        self._claims: dict[Cell, Callable[[], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._cells)

    def take(self) -> Cell | None:
        """Return the next cell to run, or None if no cell is left that no other run is working on."""
        for _ in range(len(self._cells)):
            cell, before = self._cells.popleft()
            give_back = self._store.claim(cell)
            if give_back is None:
                self._cells.append((cell, before))
            elif self._done_meanwhile(cell, before):
                give_back()
            else:
                self._claims[cell] = give_back
                return cell
        return None

    def _done_meanwhile(self, cell: Cell, before: Failure | None) -> bool:
        now = self._store.failure(cell)
        failed = now is not None and (before is None or now.provenance != before.provenance)
        if failed or self._store.read(cell) is not None:
            self._finished(cell, now.last_line if failed and now is not None else None)
            return True
        return False

    def put_away(self, cell: Cell) -> None:
        """Unlock a cell that has run."""
        self._claims.pop(cell)()

    def leave(self) -> None:
        """Unlock all cells."""
        for cell in list(self._claims):
            self.put_away(cell)
