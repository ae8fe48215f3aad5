"""What the main tables of a suite say of each row, as plain data for a committed file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tlzoo.bench.report.lines import Line, difference
from tlzoo.bench.report.tables import Table

__all__ = ["summaries"]


def summaries(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return one entry for each group and backbone: over all its tasks, or of its only one.

    An entry has ``group``, ``backbone``, ``reference`` (the row that gains are measured against), ``chosen`` (how it
    was chosen), ``lacks`` (strong baselines that it has not) and ``rows``. A row has its ``label``, ``role`` (baseline,
    bound or method), ``mean`` with the bounds ``low`` and ``high`` of its 95 % interval, ``over`` (what the interval
    covers), and ``gains``: the paired difference to every other baseline by its label, with its own bounds. Figures are
    those of the group's metric.
    """
    main = [table for table in tables if table.task is None or len(table.group.tasks) == 1]
    return [
        {
            "group": table.group.title,
            "backbone": table.backbone,
            "reference": table.reference,
            "chosen": table.chosen,
            "lacks": list(table.lacks),
            "rows": list(_rows(table)),
        }
        for table in main
        if any(line.records for line in table.lines)
    ]


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    baselines = [line for line in table.lines if line.baseline and not line.oracle and line.values]
    for line in table.lines:
        if not line.values:
            continue
        low, high, over = _interval(line)
        row: dict[str, Any] = {"label": line.label, "role": _role(line), "over": over}
        row |= _figures(mean=line.summary.mean, low=low, high=high)
        gains = {each.label: difference(line, each).difference for each in baselines if each.label != line.label}
        row["gains"] = {name: _figures(mean=d.mean, low=d.low, high=d.high) for name, d in gains.items()}
        yield row


def _interval(line: Line) -> tuple[float, float, str]:
    """Return the bounds of a row's interval, and what it covers."""
    found = line.summary
    if line.answered is not None:
        return found.low, found.high, "test examples" if len(line.answered.seeds) == 1 else "seeds and test examples"
    if not math.isnan(line.within):
        return found.mean - line.within, found.mean + line.within, "episodes" if line.episodes else "test examples"
    return found.low, found.high, "seeds"


def _role(line: Line) -> str:
    return "bound" if line.oracle else "baseline" if line.baseline else "method"


def _figures(**values: float) -> dict[str, float | None]:
    """Return six significant digits; None for values that JSON cannot represent."""
    return {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in values.items()}
