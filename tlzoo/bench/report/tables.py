"""Builds tables from stored cells: one per group, task and backbone, in sections by supervision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tlzoo.bench.baselines import (
    MissingBaselineError,
    Rival,
    absent_baselines,
    missing_baselines,
    reference,
)
from tlzoo.bench.plan import Plan
from tlzoo.bench.published import Published, published
from tlzoo.bench.report.lines import NEEDS_UNKNOWN, Line, averaged, build_lines, difference
from tlzoo.bench.store import Store
from tlzoo.bench.suite import Group
from tlzoo.stats import average_ranks, bounded_interval
from tlzoo.supervision import Sees

__all__ = ["Section", "Table", "build_tables", "compared_by"]

_LABELS = frozenset({Sees.SOURCE_LABELS, Sees.TARGET_LABELS})
_UNDECLARED = f"{Sees.TEST_INPUTS} (measured, not declared)"


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
    """Sections over one task and backbone, or over the mean of several tasks (``task`` None).

    Attributes:
        reference: label of the row that gains are measured against; empty without a baseline.
        chosen: how that row was chosen among the baselines.
        lacks: strong baselines that the table has not, in words.
        literature: published values of its group, of its rows and of others.
    """

    group: Group
    task: str | None
    backbone: str | None
    sections: tuple[Section, ...]
    reference: str
    chosen: str = ""
    lacks: tuple[str, ...] = ()
    literature: tuple[Published, ...] = ()

    def value_of(self, found: Published) -> float:
        """Return a published value of its task, or the mean of all."""
        names = [task.value for task in self.group.tasks]
        return found.of(None if self.task is None else names.index(self.task))

    def published(self, label: str) -> Published | None:
        """Return the published values of a row, or None."""
        return next((found for found in self.literature if found.label == label), None)

    @property
    def not_rerun(self) -> list[Published]:
        """Published values of methods that the group has no row of."""
        labels = {line.label for line in self.lines}
        return [found for found in self.literature if found.label not in labels]

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
                task.value: build_lines([c for c in here if c.task == task.value], group, store) for task in group.tasks
            }
            if len(by_task) > 1:
                tables.append(_table(group, None, backbone.value, averaged(by_task, group), plan))
            tables += [_table(group, task, backbone.value, lines, plan) for task, lines in by_task.items()]
    return tables


def _table(group: Group, task: str | None, backbone: str | None, lines: list[Line], plan: Plan) -> Table:
    found = reference(group.kind, [_rival(line, group) for line in lines])
    against = None if found is None else lines[found[0]]
    if against is not None:
        lines = [line if line is against else replace(line, gain=difference(line, against)) for line in lines]
    by_sees: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        by_sees.setdefault(compared_by(_sees(line, plan)), []).append(line)
    sections = [
        Section(sees=sees, lines=tuple(_in_range(line, group) for line in _marked(_ranked(own, group), group)))
        for sees, own in sorted(by_sees.items(), key=_order)
    ]
    learns = any(Sees.SOURCE_LABELS in _sees(line, plan) for line in lines)
    rejects = group.metric.partition("/")[2] in NEEDS_UNKNOWN
    return Table(
        group=group,
        task=task,
        backbone=backbone,
        sections=tuple(sections),
        reference=against.label if against else "",
        literature=tuple(found for found in published(plan.suite.name) if found.group == group.title),
        chosen=found[1] if found else "",
        lacks=tuple(absent_baselines(group.kind, [line.cell for line in lines], learns=learns, rejects=rejects)),
    )


def _rival(line: Line, group: Group) -> Rival:
    sign = 1.0 if group.better == "higher" else -1.0
    metric = group.metric.partition("/")[2]
    return Rival(line.cell, held_out=sign * line.held_out(metric), test=sign * line.summary.mean)


def _in_range(line: Line, group: Group) -> Line:
    """Return a line whose intervals end where shares do: no accuracy is above 100 %, and no gain either."""
    if not group.percent or not all(0 <= value <= 1 for value in line.values.values() if not math.isnan(value)):
        return line
    gain = line.gain
    if gain is not None:  # cut, not moved: whether it holds 0 is what the test says
        d = gain.difference
        gain = replace(gain, difference=replace(d, low=max(d.low, -1.0), high=min(d.high, 1.0)))
    return replace(line, summary=bounded_interval(line.summary, lowest=0.0, highest=1.0), gain=gain)


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
    return tuple(name for name in sees if name != Sees.VALIDATION_LABELS)


def _order(section: tuple[tuple[str, ...], list[Line]]) -> tuple[bool, bool, int]:
    """Baselines first, then methods that see less before those that see more; oracles last."""
    sees, lines = section
    return all(line.oracle for line in lines), not any(line.baseline for line in lines), len(sees)


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
        tied = is_rival and line is not best and difference(best, line).tied
        marked.append(replace(line, best=line is best, tied=tied))
    return marked
