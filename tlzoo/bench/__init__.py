"""The benchmark harness: suites of cells, a store for their outcomes, executors, and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy
from tlzoo.bench.cell import Cell, Outcome

if TYPE_CHECKING:
    from tlzoo.bench.runs import SuiteRun, open_suite, run_suite
    from tlzoo.bench.store import Store
    from tlzoo.bench.suite_reader import list_suites, load_suite

__all__ = ["Cell", "Outcome", "Store", "SuiteRun", "list_suites", "load_suite", "open_suite", "run_suite"]

__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        **dict.fromkeys(("SuiteRun", "open_suite", "run_suite"), "tlzoo.bench.runs"),
        **dict.fromkeys(("list_suites", "load_suite"), "tlzoo.bench.suite_reader"),
        "Store": "tlzoo.bench.store",
    },
)
