"""The sheet of multitask tables: the gain of every method over single-task networks."""

from __future__ import annotations

import math

from tlzoo.bench.baselines import is_single_task
from tlzoo.bench.report.table_layout import DASH, Entry, Grid, Row
from tlzoo.bench.report.tables import Line, Table
from tlzoo.bench.store import Record, Store
from tlzoo.stats import Summary, summary
from tlzoo.stats.delta import Measured, Variant, delta_m

__all__ = ["deltas"]

_VARIANTS: tuple[Variant, ...] = ("libmtl", "nash_mtl")
_MEAN = "test/accuracy"


def deltas(table: Table, _: Store) -> Grid | None:
    """Return delta-m of every line in both variants; None for other kinds of tables or without single-task runs."""
    base = next((line for line in table.lines if table.group.kind == "multitask" and is_single_task(line.cell)), None)
    if base is None or not base.records:
        return None
    bases = {(record.cell.task, record.cell.seed): record for record in base.records}
    sections = tuple(
        (section.title, tuple(_row(line, bases) for line in section.lines if line.records))
        for section in table.sections
    )
    notes = (
        f"base: {base.label}, on the same seed; accuracies, of which higher is better",
        "libmtl: relative gain in percent, higher is better; nash_mtl: its opposite, lower is better",
        "95 % interval, over runs",
    )
    return Grid(f"Delta-m · {table.title}", ("method", *_VARIANTS, "interval (libmtl)"), sections, notes)


def _row(line: Line, bases: dict[tuple[str, int], Record]) -> Row:
    compared = [
        {task: {"accuracy": Measured(value=value, base=base.metrics[task])} for task, value in _by_task(record)}
        for record in line.records
        if (base := bases.get((record.cell.task, record.cell.seed))) is not None
    ]
    found = {variant: summary([delta_m(m, variant=variant).value for m in compared]) for variant in _VARIANTS}
    return Row((Entry(line.label), *[_entry(found[v].mean) for v in _VARIANTS], _interval(found["libmtl"])), "")


def _by_task(record: Record) -> list[tuple[str, float]]:
    return [(name, value) for name, value in record.metrics.items() if name.startswith("test/") and name != _MEAN]


def _entry(value: float) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(f"{value:+.2f}".replace("-", "−"), value)


def _interval(found: Summary) -> Entry:
    if found.n < 2:
        return Entry(DASH)
    return Entry(f"[{found.low:+.2f}, {found.high:+.2f}]".replace("-", "−"), found.low)
