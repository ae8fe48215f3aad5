"""The benchmark harness: suites of cells, a store of their outcomes, executors, and reports."""

from __future__ import annotations

from tlzoo.bench.cell import Cell, Outcome

__all__ = ["Cell", "Outcome"]
