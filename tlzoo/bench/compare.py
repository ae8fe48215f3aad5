"""Compares two rows: one sentence with its evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.table_layout import number, span
from tlzoo.bench.report.tables import Table
from tlzoo.errors import InputError
from tlzoo.registry import short_name
from tlzoo.spelling import nearest
from tlzoo.stats import (
    PairedDifference,
    Summary,
    holm,
    paired_bootstrap,
    paired_difference,
    probability_of_improvement,
    wilcoxon,
)

__all__ = ["Comparison", "compare"]

_LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """The answer for one group and backbone.

    Attributes:
        title: group and backbone.
        answer: one sentence.
        evidence: lines of evidence.
    """

    title: str
    answer: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """Two rows on the tasks of a group: values (runs, tasks) or (episodes, 1) of both; higher is better."""

    table: Table
    lines: tuple[Line, Line]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    unit: str

    @property
    def names(self) -> tuple[str, str]:
        return self.lines[0].label, self.lines[1].label

    @property
    def tasks(self) -> int:
        return int(self.first.shape[1])

    @property
    def over_tasks(self) -> bool:
        """Whether the pairs are tasks, because each was run once."""
        return len(self.first) == 1 and self.tasks > 1

    def means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the pairs behind the answer: one per run (mean of tasks), or one per task."""
        axis = 0 if self.over_tasks else 1
        return self.first.mean(axis=axis), self.second.mean(axis=axis)


def compare(tables: Sequence[Table], first: str, second: str) -> list[Comparison]:
    """Return an answer for every group and backbone with both rows.

    Args:
        tables: from :func:`~tlzoo.bench.report.build_tables`.
        first: label of a row, or the name of its method if only one row of the group has it.
        second: label or method of the other row.

    Raises:
        ValueError: there is no such row, no group has both, or both are the same row.
    """
    labels = sorted({line.label for table in tables for line in table.lines})
    for name in (first, second):
        if not any(_rows(table, name) for table in tables):
            raise InputError(nearest(name, labels, kind="row"))
    pairs = list(_pairs(tables, first, second))
    if not pairs:
        raise InputError(f"no group has one row {first!r} and one row {second!r}; rows are {', '.join(labels)}")
    if same := next((pair for pair in pairs if pair.lines[0] is pair.lines[1]), None):
        raise InputError(f"{first!r} and {second!r} are both the row {same.names[0]!r}; name two rows")
    return [Comparison(_title(pair), _answer(pair), tuple(_evidence(pair))) for pair in pairs]


def _rows(table: Table, name: str) -> list[Line]:
    labelled = [line for line in table.lines if line.label.lower() == name.lower()]
    methods = [line for line in table.lines if name in (line.cell.method, short_name(line.cell.method))]
    return labelled or methods


def _pairs(tables: Sequence[Table], first: str, second: str) -> Iterator[_Pair]:
    places = dict.fromkeys((table.group.title, table.backbone) for table in tables)
    for place in places:
        own = [t for t in tables if (t.group.title, t.backbone) == place and t.task is not None]
        rows = [(_rows(table, first), _rows(table, second)) for table in own]
        if all(len(one) == 1 and len(other) == 1 for one, other in rows):
            yield _pair(own, [(one[0], other[0]) for one, other in rows])


def _pair(tables: list[Table], lines: list[tuple[Line, Line]]) -> _Pair:
    sign = 1.0 if tables[0].group.better == "higher" else -1.0
    one, other = lines[0]
    if len(lines) == 1 and one.episodes and other.episodes and one.episodes[0] == other.episodes[0]:
        figures = [np.asarray(line.episodes[1], dtype=np.float64)[:, None] for line in (one, other) if line.episodes]
        return _Pair(tables[0], (one, other), figures[0], figures[1], "episodes")
    seeds = [seed for seed in one.values if all(_known(line, seed) for pair in lines for line in pair)]
    shape = (len(seeds), len(lines))
    figures = [
        np.array([[sign * pair[side].values[seed] for pair in lines] for seed in seeds]).reshape(shape)
        for side in (0, 1)
    ]
    return _Pair(tables[0], (one, other), figures[0], figures[1], "runs")


def _known(line: Line, seed: int) -> bool:
    return not math.isnan(line.values.get(seed, math.nan))


def _title(pair: _Pair) -> str:
    return " · ".join(part for part in (pair.table.group.title, pair.table.backbone) if part)


def _ends(pair: _Pair, found: Summary) -> tuple[float, float]:
    """Return the interval of a difference; that of two shares ends at -1 and 1."""
    low, high = sorted((_signed(pair, found.low), _signed(pair, found.high)))
    shares = pair.table.group.percent and all(0 <= value <= 1 for means in pair.means() for value in means)
    return (max(low, -1.0), min(high, 1.0)) if shares else (low, high)


def _answer(pair: _Pair) -> str:
    one, other = pair.names
    found = paired_difference(*pair.means())
    d = found.difference
    if d.n == 0:
        return f"Whether {one} is better than {other} cannot be told: they have no finished run in common."
    by = number(_signed(pair, d.mean), pair.table, signed=True) + _unit(pair)
    if d.n == 1:
        return f"Whether {one} is better than {other} cannot be told from one run: the difference is {by}."
    low, high = _ends(pair, d)
    basis = f"{by}, 95 % interval {span(low, high, pair.table, signed=True)}, {_basis(pair, d.n)}"
    if found.tied:
        return f"No difference between {one} and {other} can be told: {basis}."
    return f"{'Yes' if d.mean > 0 else 'No'}, {one} is {'better' if d.mean > 0 else 'worse'} than {other}: {basis}."


def _signed(pair: _Pair, difference: float) -> float:
    return difference if pair.table.group.better == "higher" else -difference


def _unit(pair: _Pair) -> str:
    return " points" if pair.table.group.percent else f" in {pair.table.group.metric}"


def _basis(pair: _Pair, count: int) -> str:
    if pair.over_tasks:
        return f"Student's t over {count} tasks, one run each"
    of = f", each the mean of {pair.tasks} tasks" if pair.tasks > 1 else ""
    return f"Student's t over {count} pairs of {pair.unit}{of}"


def _evidence(pair: _Pair) -> Iterator[str]:
    one, other = pair.names
    count = len(pair.means()[0])
    if count > 1:
        yield from _tests(pair, *pair.means())
    if pair.tasks > 1 and not pair.over_tasks and count:
        p_value = wilcoxon(pair.first.mean(axis=0), pair.second.mean(axis=0))
        yield f"Wilcoxon's signed-rank test over the {pair.tasks} tasks' means: p = {p_value:.3g}"
    if pair.tasks > 1 and count > 1 and not pair.over_tasks:
        yield _by_task(pair)
    if pair.unit == "runs" and count > 1:
        found = probability_of_improvement(pair.first, pair.second)
        shares = f"{float(found.value):.2f}, 95 % interval [{float(found.low):.2f}, {float(found.high):.2f}]"
        yield f"a run of {one} beats a run of {other} with probability {shares}"
    for line in pair.lines:
        if line.absent or line.failures:
            yield f"{line.label}: {len(line.values)} of {line.wanted} runs finished"
    yield from _unlike(pair)


def _tests(pair: _Pair, first: NDArray[np.float64], second: NDArray[np.float64]) -> Iterator[str]:
    unit = "tasks" if pair.over_tasks else pair.unit
    yield f"paired t-test over {unit}: p = {paired_difference(first, second).p_value:.3g}"
    yield f"Wilcoxon's signed-rank test over {unit}: p = {wilcoxon(first, second):.3g}" + _least(len(first))
    resampled: PairedDifference = paired_bootstrap(first, second)
    low, high = _ends(pair, resampled.difference)
    few = "; too sure of itself below about 30 pairs" if len(first) < 30 else ""
    shown = span(low, high, pair.table, signed=True)
    yield f"paired bootstrap: 95 % interval {shown}, p = {resampled.p_value:.3g}{few}"


def _least(count: int) -> str:
    """Return a note if a rank test of so few pairs can never reach the level."""
    least = 2.0 ** (1 - count)
    return f" (of {count} pairs it cannot be below {least:.3g})" if least > _LEVEL else ""


def _by_task(pair: _Pair) -> str:
    found = [paired_difference(pair.first[:, task], pair.second[:, task]) for task in range(pair.tasks)]
    corrected = holm([each.p_value for each in found])
    clear = [each.difference.mean for each, p in zip(found, corrected, strict=True) if p <= _LEVEL]
    better, worse = sum(d > 0 for d in clear), sum(d < 0 for d in clear)
    return f"by task (paired t-tests, Holm): better on {better} of {pair.tasks}, worse on {worse}"


def _unlike(pair: _Pair) -> Iterator[str]:
    """Return notes on everything that makes the comparison unfair."""
    seen = {
        line.label: section.sees
        for section in pair.table.sections
        for line in section.lines
        if line.label in pair.names
    }
    one, other = pair.names
    if seen[one] != seen[other]:
        spelled = [f"{name} sees {', '.join(seen[name]) or 'no training data'}" for name in pair.names]
        yield f"they do not see the same: {'; '.join(spelled)}"
    for line in pair.lines:
        if line.oracle:
            yield f"{line.label} trains on target labels: a bound, not a rival"
