"""Answers the suite's question from its numbers, one sentence per table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.table_layout import number, span
from tlzoo.bench.report.tables import Section, Table

__all__ = ["Finding", "findings"]


@dataclass(frozen=True)
class Finding:
    """The conclusion of one table, as a title and a sentence."""

    title: str
    sentence: str


def findings(tables: Sequence[Table]) -> list[Finding]:
    """Return one finding per group, from the mean over tasks if there is one, otherwise one per table."""
    overall = {table.group.title for table in tables if table.task is None}
    chosen = [table for table in tables if table.task is None or table.group.title not in overall]
    repeated = len({table.group.title for table in chosen}) < len(chosen)
    return [Finding(table.title if repeated else table.group.title, _sentence(table)) for table in chosen]


def _sentence(table: Table) -> str:
    against = next((line for line in table.lines if line.label == table.reference), None)
    if against is None or math.isnan(against.summary.mean):
        return "The baseline has no result yet, so no gain can be told."
    clauses = [clause for section in table.sections if (clause := _clause(table, section))]
    start = f"The baseline, {table.reference}, reaches {_with_unit(against.summary.mean, table)}"
    if len(table.lines) == 1:
        return f"{start}."
    if not clauses:
        return f"{start}; no other method has a result yet."
    bounds = [
        f"the oracle, trained on target labels, reaches {_with_unit(line.summary.mean, table)}"
        for line in table.lines
        if line.oracle and not math.isnan(line.summary.mean)
    ]
    return f"{'; '.join([start, *clauses, *bounds])}."


def _clause(table: Table, section: Section) -> str:
    sign = 1 if table.group.better == "higher" else -1
    rivals = [
        line
        for line in section.lines
        if line.gain is not None and not line.oracle and not math.isnan(line.gain.difference.mean)
    ]
    if not rivals:
        return ""
    best = max(rivals, key=lambda line: sign * line.summary.mean)
    seen = ", ".join(section.sees) or "no training data"
    return f"{best.label} is the best that sees {seen}: {_gain(best, table)}"


def _gain(line: Line, table: Table) -> str:
    assert line.gain is not None
    d = line.gain.difference
    unit = " points" if table.group.percent else ""
    text = f"{number(d.mean, table, signed=True)}{unit}"
    if d.n < 2 and d.method != "crossed":
        return f"{text} (one run, no interval)"
    verdict = ", not to be told from no gain" if line.gain.tied else ""
    return f"{text}, 95 % interval {span(d.low, d.high, table, signed=True)}{verdict}"


def _with_unit(value: float, table: Table) -> str:
    return number(value, table) + (" %" if table.group.percent else "")
