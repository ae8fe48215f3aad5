"""Lines of tables: one method with its settings, over all its seeds and, in averages, over tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.baselines import is_baseline, is_oracle
from tlzoo.bench.cell import EPISODE_ACCURACY, Cell
from tlzoo.bench.store import Failure, Record, Store
from tlzoo.bench.suite import Group
from tlzoo.stats import PairedDifference, Summary, paired_difference, summary
from tlzoo.supervision import Sees

__all__ = ["Line", "averaged", "build_lines", "difference", "mean_curve"]


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
        return any(Sees.VALIDATION_LABELS in record.receipt.get("sees", ()) for record in self.records)

    @property
    def oracle(self) -> bool:
        """Whether it is a bound for the others instead of a competitor."""
        return is_oracle(self.cell)

    @property
    def baseline(self) -> bool:
        """Whether the table needs this row."""
        return is_baseline(self.cell)


def build_lines(cells: Iterable[Cell], group: Group, store: Store) -> list[Line]:
    """Return a line per label, in the order of the cells."""
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


def averaged(by_task: Mapping[str, list[Line]], group: Group) -> list[Line]:
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


def difference(line: Line, against: Line) -> PairedDifference:
    """Compare seed by seed, or two single runs episode by episode."""
    if line.episodes and against.episodes and line.episodes[0] == against.episodes[0]:
        return paired_difference(line.episodes[1], against.episodes[1])
    seeds = [seed for seed in line.values if seed in against.values]
    return paired_difference([line.values[s] for s in seeds], [against.values[s] for s in seeds])


def mean_curve(line: Line, name: str) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return steps and the mean over runs of a curve; None if runs differ in length or have fewer than two points."""
    curves = [record.curves[name] for record in line.records if name in record.curves]
    if not curves or len({len(curve) for curve in curves}) > 1 or len(curves[0]) < 2:
        return None
    steps = line.records[0].curves.get("step")
    x = steps if steps and len(steps) == len(curves[0]) else list(range(1, len(curves[0]) + 1))
    return x, np.mean(curves, axis=0).tolist()
