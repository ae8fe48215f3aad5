"""What cells cost, told by running them with small budgets.

Seconds are those of this process on the processor, which another load on the machine does not change; cells have one
thread.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlzoo.bench.cell import Cell
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["RowCost", "ShortRuns", "measure_rows", "row_cost"]

_SMALL = {"steps": 10, "source_steps": 10, "backbone_steps": 10, "pretraining_steps": 10, "episodes": 20}
"""Part of a budget that a cell's time grows with -> a small one."""
_LONGER, _LEAST = (4, 16, 64), (2, 8, 32, 128)
"""Multiples of the small budget, or of one unit of each part, that are tried until the difference tells."""
_TELLS = 0.3
"""Seconds of difference that are no noise; a fifth of the cell's, if that is more."""
_SLOW = 2.0
"""Seconds with one unit of each part, beyond which a cell is priced from there."""


@dataclass(frozen=True, kw_only=True)
class RowCost:
    """Seconds of a cell with one choice of settings, and of each further choice that is tried."""

    once: float
    trial: float

    def of(self, cell: Cell, *, tasks: int, backbones: int, seeds: int) -> float:
        """Return the seconds of all cells of a row like this one; one seed, or one task, may choose for all."""
        where = cell.search.get("tuned_on", {})
        choices = backbones * (1 if "task" in where else tasks) * (1 if where else seeds)
        return tasks * backbones * seeds * self.once + choices * (_tries(cell) - 1) * self.trial


@dataclass(frozen=True, kw_only=True)
class ShortRuns:
    """What rows cost.

    Attributes:
        rows: their number.
        measured: how many were run in small; the others are priced by the mean of these.
        seconds: of all cells of all rows; NaN if none could be run.
        extraction: seconds that the features take that are not extracted yet.
        error: why the first row could not be run that could not.
    """

    rows: int
    measured: int
    seconds: float
    extraction: float
    error: str = ""


def measure_rows(cells: Sequence[Cell], *, limit: float, tasks: int, backbones: int, seeds: int) -> ShortRuns:
    """Run a cell of each row with small budgets. Features that are not extracted yet are random numbers meanwhile.

    Args:
        cells: one a row.
        limit: seconds after which no further row is begun; they are taken in a random order, the same each time.
        tasks: their number.
        backbones: their number.
        seeds: their number.
    """
    from tlzoo.backbones.cache import estimated

    found, error, begun = list[float](), "", time.process_time()
    with estimated() as extraction:
        for place, number in enumerate(numpy_generator(0, Stream.PRICES, "rows").permutation(len(cells))):
            if place and time.process_time() - begun > limit:
                break
            cell = cells[number]
            try:
                unit = _timed(_shortened(cell, 1))
                if not found and unit <= limit:
                    unit = _timed(_shortened(cell, 1))  # what is imported and read once is no part of a cell
                cost = _proportional(cell, unit) if unit > limit >= 0 else row_cost(cell, unit)
                found.append(cost.of(cell, tasks=tasks, backbones=backbones, seeds=seeds))
            except Exception as problem:  # a cell runs any code
                said = str(problem).partition("\n")[0] or type(problem).__name__
                error = error or f"{cell.label}: {said}"
    seconds = len(cells) * float(np.mean(found)) if found else math.nan
    return ShortRuns(
        rows=len(cells), measured=len(found), seconds=seconds, extraction=sum(extraction.values()), error=error
    )


def _proportional(cell: Cell, unit: float) -> RowCost:
    """Return what a cell costs at most, from one unit of each part of its budget: too long a time to run more."""
    whole = unit * max((int(value) for name, value in cell.budget.items() if name in _SMALL), default=1)
    return RowCost(once=whole, trial=whole)


def row_cost(cell: Cell, unit: float) -> RowCost:
    """Return what a cell costs, from runs with parts of its budget: what is fixed, and what each part adds.

    Args:
        cell: of the row.
        unit: seconds with one unit of each part.
    """
    small, added, base = _shortened(cell, 1), dict[str, float](), unit
    multiples: tuple[int, ...] = _LEAST
    if base <= _SLOW:
        small, multiples = _shortened(cell), _LONGER
        base = _timed(small)
    for name in small.budget:
        if name not in _SMALL or (whole := int(cell.budget[name])) <= (least := int(small.budget[name])):
            continue
        for factor in multiples:
            more = min(whole, factor * least)
            further = max(_timed(replace(small, budget={**small.budget, name: more})) - base, 0.0)
            if further > max(_TELLS, base / 5) or more == whole:
                break
        added[name] = further / (more - least) * (whole - least)
    once, trained = base + sum(added.values()), sum(value for name, value in added.items() if name != "episodes")
    if not cell.candidates or cell.search.get("sampler"):
        return RowCost(once=once, trial=once)
    two = {name: (values[0], values[-1]) for name, values in cell.candidates.items()}
    search = {**{name: value for name, value in cell.search.items() if name != "tuned_on"}, "trials": 2}
    tried = max(_timed(replace(small, candidates=two, search=search)) - base, 0.0)
    return RowCost(once=once, trial=tried + trained)


def _tries(cell: Cell) -> int:
    """Return how many settings a cell tries."""
    if not cell.candidates:
        return 1
    if cell.search.get("sampler"):
        return int(cell.search["trials"])
    sizes = [len(values) for values in cell.candidates.values()]
    return sizes[0] if cell.search.get("trials") else math.prod(sizes)


def _shortened(cell: Cell, units: int | None = None) -> Cell:
    """Return a cell with a small budget, or so many units of each part, that tries nothing."""
    small = {name: min(int(value), units or _SMALL[name]) for name, value in cell.budget.items() if name in _SMALL}
    return replace(cell, budget={**cell.budget, **small}, candidates={}, search={})


def _timed(cell: Cell) -> float:
    from tlzoo.bench.execution.one_cell import reproducible
    from tlzoo.bench.protocols import run

    with reproducible(cell.seed, cell.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = time.process_time()
        run(cell, lambda _: None)
        return time.process_time() - begun
