"""Builds tables from stored cells: one per group, task and backbone, in sections by supervision."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.baselines import (
    MissingBaselineError,
    is_baseline,
    is_oracle,
    missing_baselines,
    reference,
)
from tlzoo.bench.cell import EPISODE_ACCURACY, Cell
from tlzoo.bench.plan import Plan
from tlzoo.bench.store import Failure, Record, Store
from tlzoo.bench.suite import Group
from tlzoo.stats import PairedDifference, Summary, average_ranks, paired_difference, summary

__all__ = ["Line", "Section", "Table", "build_tables", "compared_by", "mean_curve"]

# values of tlzoo.types.Sees, which would load torch
_LABELS = frozenset({"source labels", "target labels"})
_VALIDATION_LABELS = "validation labels"
_UNDECLARED = "test inputs (measured, not declared)"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row: one method with its settings, over all seeds.

    Attributes:
        label: name of the row.
        cell: the first of its cells.
        values: seed -> value of the main metric, for finished cells.
        summary: summary of the values.
        episodes: (E,) value of each episode of a single run, and the hash of the episodes; None without episodes.
        within: half width of the interval over the test examples of a single run, if the protocol gives one.
        extras: further metric -> mean over seeds.
        gain: paired difference to the reference row on the same seeds; None for the reference itself.
        by_task: mean of each task, if the line covers several.
        rank: average rank over these tasks within the section.
        wanted: number of runs that the suite requests.
        best: whether it has the best mean of its section, if it has rivals.
        tied: whether it is not best, but the paired interval of the difference to the best contains 0.
        failures: failures of its cells.
        absent: cells that have not run yet.
        records: records of its finished cells.
    """

    label: str
    cell: Cell
    values: Mapping[int, float]
    summary: Summary
    within: float = math.nan
    episodes: tuple[str, NDArray[Any]] | None = None
    extras: Mapping[str, float] = field(default_factory=dict)
    gain: PairedDifference | None = None
    by_task: tuple[float, ...] = ()
    rank: float = math.nan
    wanted: int = 1
    best: bool = False
    tied: bool = False
    failures: tuple[Failure, ...] = ()
    absent: int = 0
    records: tuple[Record, ...] = ()

    @property
    def chosen_on_labels(self) -> bool:
        """Whether any of its runs had settings chosen on validation labels."""
        return any(_VALIDATION_LABELS in record.receipt.get("sees", ()) for record in self.records)

    @property
    def oracle(self) -> bool:
        """Whether it is a bound for the others instead of a competitor."""
        return is_oracle(self.cell)

    @property
    def baseline(self) -> bool:
        """Whether the table needs this row."""
        return is_baseline(self.cell)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Lines of methods with the same supervision; only these compare."""

    sees: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """The supervision of the methods, in words."""
        return f"sees {', '.join(self.sees)}" if self.sees else "sees no training data"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Sections over one task and backbone, or over the mean of several tasks (``task`` None)."""

    group: Group
    task: str | None
    backbone: str | None
    sections: tuple[Section, ...]
    reference: str

    @property
    def title(self) -> str:
        """Group, task and backbone."""
        task = self.task or f"mean of {len(self.group.tasks)} tasks"
        return " · ".join(part for part in (self.group.title, task, self.backbone) if part)

    def is_share(self, column: str) -> bool:
        """Return whether to show a further column in percent: all its values are shares, like the main metric."""
        figures = [line.extras[column] for line in self.lines if not math.isnan(line.extras[column])]
        return self.group.percent and bool(figures) and all(0 <= figure <= 1 for figure in figures)

    @property
    def lines(self) -> list[Line]:
        """All lines in order."""
        return [line for section in self.sections for line in section.lines]


def build_tables(plan: Plan, store: Store) -> list[Table]:
    """Return the tables of a suite, in its order.

    Raises:
        MissingBaselineError: a group lacks a baseline row.
    """
    tables: list[Table] = []
    for group, cells in plan.groups:
        absent = missing_baselines(group.kind, cells)
        if absent:
            raise MissingBaselineError(
                f"{group.place.file}:{group.place.line}: table {group.title!r} has no row "
                f"{' and no row '.join(absent)}; a table needs it: add it to the group's methods"
            )
        for backbone in group.backbones:
            here = [cell for cell in cells if cell.backbone == backbone.value]
            by_task = {
                task.value: _lines([c for c in here if c.task == task.value], group, store) for task in group.tasks
            }
            if len(by_task) > 1:
                tables.append(_table(group, None, backbone.value, _averaged(by_task, group), plan))
            tables += [_table(group, task, backbone.value, lines, plan) for task, lines in by_task.items()]
    return tables


def _lines(cells: Iterable[Cell], group: Group, store: Store) -> list[Line]:
    by_label: dict[str, list[Cell]] = {}
    for cell in cells:
        by_label.setdefault(cell.label, []).append(cell)
    return [_line(label, own, group, store) for label, own in by_label.items()]


def _line(label: str, cells: Sequence[Cell], group: Group, store: Store) -> Line:
    records = store.finished(cells)
    failures = [failure for cell in cells if (failure := store.failure(cell)) is not None]
    values = {cell.seed: record.metrics.get(group.metric, math.nan) for cell, record in records.items()}
    width = f"{group.metric.split('/')[0]}/interval"
    widths = [record.metrics.get(width, math.nan) for record in records.values()]
    return Line(
        label=label,
        cell=cells[0],
        values=values,
        summary=summary(list(values.values())),
        within=widths[0] if len(widths) == 1 else math.nan,
        episodes=_episodes(list(records.values()), store),
        extras={
            name: summary([record.metrics.get(name, math.nan) for record in records.values()]).mean
            for name in group.columns
        },
        wanted=len(cells),
        failures=tuple(failures),
        absent=len(cells) - len(records) - len(failures),
        records=tuple(records.values()),
    )


def _episodes(records: Sequence[Record], store: Store) -> tuple[str, NDArray[Any]] | None:
    if len(records) != 1 or EPISODE_ACCURACY not in records[0].splits:
        return None
    return records[0].splits[EPISODE_ACCURACY], store.predictions(records[0].cell)[EPISODE_ACCURACY]


def _averaged(by_task: Mapping[str, list[Line]], group: Group) -> list[Line]:
    """Return one line per label whose value for a seed is the mean over tasks, if all are finished."""
    rows = list(zip(*by_task.values(), strict=True))
    averaged = []
    for lines in rows:
        seeds = [seed for seed in lines[0].values if all(seed in line.values for line in lines)]
        values = {seed: sum(line.values[seed] for line in lines) / len(lines) for seed in seeds}
        averaged.append(
            replace(
                lines[0],
                values=values,
                summary=summary(list(values.values())),
                within=math.nan,
                episodes=None,
                extras={name: summary([line.extras[name] for line in lines]).mean for name in group.columns},
                by_task=tuple(line.summary.mean for line in lines),
                failures=tuple(failure for line in lines for failure in line.failures),
                absent=sum(line.absent for line in lines),
                records=tuple(record for line in lines for record in line.records),
            )
        )
    return averaged


def _table(group: Group, task: str | None, backbone: str | None, lines: list[Line], plan: Plan) -> Table:
    against_cell = reference(group.kind, [line.cell for line in lines])
    against = next((line for line in lines if against_cell is not None and line.cell == against_cell), None)
    if against is not None:
        lines = [line if line is against else replace(line, gain=_difference(line, against)) for line in lines]
    by_sees: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        by_sees.setdefault(compared_by(_sees(line, plan)), []).append(line)
    sections = [
        Section(sees=sees, lines=tuple(_marked(_ranked(own, group), group)))
        for sees, own in sorted(by_sees.items(), key=_order)
    ]
    return Table(
        group=group,
        task=task,
        backbone=backbone,
        sections=tuple(sections),
        reference=against.label if against else "",
    )


def _sees(line: Line, plan: Plan) -> tuple[str, ...]:
    """Return the supervision from a line's receipts, or its method's declaration if no cell is finished."""
    if not line.records:
        return tuple(plan.sees[line.cell.method])
    seen = {item for record in line.records for item in record.receipt.get("sees", plan.sees[line.cell.method])}
    if any(record.receipt.get("declared") is False for record in line.records):
        seen.add(_UNDECLARED)
    return tuple(sorted(seen))


def compared_by(sees: tuple[str, ...]) -> tuple[str, ...]:
    """Return the part of a line's supervision that decides which lines it compares with.

    For a method that trains on labels, choosing settings on validation labels is no new kind of supervision, and rows
    without settings would lose their rivals, so such a row is only marked. For a method that sees no labels it is a new
    kind, and the row stands apart.
    """
    if _LABELS.isdisjoint(sees):
        return sees
    return tuple(name for name in sees if name != _VALIDATION_LABELS)


def _order(section: tuple[tuple[str, ...], list[Line]]) -> tuple[bool, bool, int]:
    """Baselines first, then methods that see less before those that see more; oracles last."""
    sees, lines = section
    return all(line.oracle for line in lines), not any(line.baseline for line in lines), len(sees)


def _difference(line: Line, against: Line) -> PairedDifference:
    """Compare seed by seed, or two single runs episode by episode."""
    if line.episodes and against.episodes and line.episodes[0] == against.episodes[0]:
        return paired_difference(line.episodes[1], against.episodes[1])
    seeds = [seed for seed in line.values if seed in against.values]
    return paired_difference([line.values[s] for s in seeds], [against.values[s] for s in seeds])


def _ranked(lines: Sequence[Line], group: Group) -> list[Line]:
    """Return the lines of a section with their average ranks over tasks, if there are several tasks."""
    if not all(line.by_task for line in lines):
        return list(lines)
    scores = list(zip(*(line.by_task for line in lines), strict=True))
    ranks = average_ranks(scores, better=group.better)
    return [replace(line, rank=float(rank)) for line, rank in zip(lines, ranks, strict=True)]


def _marked(lines: Sequence[Line], group: Group) -> list[Line]:
    rivals = [line for line in lines if not math.isnan(line.summary.mean) and not line.oracle]
    if len(rivals) < 2:
        return list(lines)
    sign = 1 if group.better == "higher" else -1
    best = max(rivals, key=lambda line: sign * line.summary.mean)
    marked = []
    for line in lines:
        is_rival = any(line is rival for rival in rivals)
        tied = is_rival and line is not best and _difference(best, line).tied
        marked.append(replace(line, best=line is best, tied=tied))
    return marked


def mean_curve(line: Line, name: str) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return steps and the mean over runs of a curve; None if runs differ in length or have fewer than two points."""
    curves = [record.curves[name] for record in line.records if name in record.curves]
    if not curves or len({len(curve) for curve in curves}) > 1 or len(curves[0]) < 2:
        return None
    steps = line.records[0].curves.get("step")
    x = steps if steps and len(steps) == len(curves[0]) else list(range(1, len(curves[0]) + 1))
    return x, np.mean(curves, axis=0).tolist()
