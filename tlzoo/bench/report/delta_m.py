"""The auxiliary table of multitask groups: the gain of every method over single-task networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tlzoo.bench.baselines import is_single_task
from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.table_layout import DASH, Entry, Layout, Row
from tlzoo.bench.report.tables import Table
from tlzoo.bench.store import Record, Store
from tlzoo.stats import Summary, summary
from tlzoo.stats.delta import Measured, Variant, delta_m

__all__ = ["deltas"]

_VARIANTS: tuple[Variant, ...] = ("libmtl", "nash_mtl")
_MEANS = ("accuracy", "score")
_HIGHER_IS_BETTER = {
    "accuracy": True,
    "miou": True,
    "pixel_accuracy": True,
    "within_11.25": True,
    "within_22.5": True,
    "within_30": True,
    **dict.fromkeys(("mae", "absolute_error", "relative_error", "mean_angle", "median_angle"), False),
}
"""Metrics of a target that count, those that are usual for its kind, and which end of each is good."""


def deltas(table: Table, _: Store) -> Layout | None:
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
        f"base: {base.label}, on the same seed; several metrics of a task count once in libmtl",
        "libmtl: relative gain in percent, higher is better; nash_mtl: its opposite, lower is better",
        "95 % interval, over runs",
    )
    return Layout(f"Delta-m · {table.title}", ("method", *_VARIANTS, "interval (libmtl)"), sections, notes)


def _row(line: Line, bases: dict[tuple[str, int], Record]) -> Row:
    compared = [
        {task: _measured(task, record.metrics, base.metrics) for task in _tasks(record)}
        for record in line.records
        if (base := bases.get((record.cell.task, record.cell.seed))) is not None
    ]
    found = {variant: summary([delta_m(m, variant=variant).value for m in compared]) for variant in _VARIANTS}
    return Row((Entry(line.label), *[_entry(found[v].mean) for v in _VARIANTS], _interval(found["libmtl"])), "")


def _tasks(record: Record) -> list[str]:
    names = [name.removeprefix("test/") for name in record.metrics if name.startswith("test/")]
    return [name for name in names if "/" not in name and name not in _MEANS]


def _measured(task: str, metrics: Mapping[str, float], base: Mapping[str, float]) -> dict[str, Measured]:
    """Return the metrics of a task; its accuracy alone where results are older than the others."""
    names = [f"test/{task}/{figure}" for figure in _HIGHER_IS_BETTER]
    own = {name: _HIGHER_IS_BETTER[name.rpartition("/")[2]] for name in names if name in metrics and name in base}
    return {
        name: Measured(value=metrics[name], base=base[name], higher_is_better=higher)
        for name, higher in (own or {f"test/{task}": True}).items()
    }


def _entry(value: float) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(f"{value:+.2f}".replace("-", "−"), value)


def _interval(found: Summary) -> Entry:
    if found.n < 2:
        return Entry(DASH)
    return Entry(f"[{found.low:+.2f}, {found.high:+.2f}]".replace("-", "−"), found.low)
