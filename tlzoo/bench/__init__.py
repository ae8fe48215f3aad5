"""The benchmark harness: suites of cells, a store for their outcomes, executors, and reports.

From a suite file to a stored outcome:

1. :func:`run_suite` reads the file (``suite_reader``) and expands it to cells (``plan``, ``suite``, ``cell``);
2. ``execution.runner.run_cells`` gives an executor the cells that the store lacks;
3. the executor calls ``execution.one_cell.execute`` for each, in this process, in a worker or on a cluster;
4. ``protocols.run`` picks the protocol of the cell's kind, which loads, builds, trains, measures and returns an outcome
   (``protocols.skeleton``);
5. ``store.Store.write`` commits the outcome as two files; ``report`` makes tables and pages of what is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy
from tlzoo.bench.cell import Cell, Outcome

if TYPE_CHECKING:
    from tlzoo.bench.store import Store
    from tlzoo.bench.suite_reader import list_suites, load_suite
    from tlzoo.bench.suite_run import SuiteRun, open_suite, run_suite

__all__ = ["Cell", "Outcome", "Store", "SuiteRun", "list_suites", "load_suite", "open_suite", "run_suite"]

__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        **dict.fromkeys(("SuiteRun", "open_suite", "run_suite"), "tlzoo.bench.suite_run"),
        **dict.fromkeys(("list_suites", "load_suite"), "tlzoo.bench.suite_reader"),
        "Store": "tlzoo.bench.store",
    },
)
