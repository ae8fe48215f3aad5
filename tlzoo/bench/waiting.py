"""The cells that a run has still to do, shared with other runs that fill the same store at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from tlzoo.bench.cell import Cell
from tlzoo.bench.store import Failure, Store

__all__ = ["WaitingCells"]


class WaitingCells:
    """Cells in order; each is handed out once, while no other run is at it.

    A run holds the lock of a cell from the time it takes it until it puts it away; the lock of a run that is killed is
    free again. Where the store lies on a file system without locks, runs do work twice, and results are right all the
    same.

    Args:
        cells: to run.
        store: where other runs may put them, too.
        finished: told of a cell that another run finished or failed meanwhile, and of the error.
    """

    def __init__(self, cells: Sequence[Cell], store: Store, finished: Callable[[Cell, str | None], None]) -> None:
        self._store, self._finished = store, finished
        self._cells = deque((cell, store.failure(cell)) for cell in cells)
        self._claims: dict[Cell, Callable[[], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._cells)

    def take(self) -> Cell | None:
        """Return the next cell to run; None where there is none, or other runs are at all that are left."""
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
        """Give back the lock of a cell that was run."""
        self._claims.pop(cell)()

    def leave(self) -> None:
        """Give back all locks."""
        for cell in list(self._claims):
            self.put_away(cell)
