"""Lines of tables: one method with its settings, over all its seeds and, in averages, over tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.baselines import is_baseline, is_oracle
from tlzoo.bench.cell import EPISODE_ACCURACY, EXAMPLE_CLUSTERS, EXAMPLE_FIGURES, Cell
from tlzoo.bench.store import Failure, Record, Store
from tlzoo.bench.suite import Group
from tlzoo.stats import (
    PairedDifference,
    Summary,
    by_cluster,
    crossed_difference,
    crossed_summary,
    paired_difference,
    summary,
)
from tlzoo.supervision import Sees

__all__ = ["NEEDS_UNKNOWN", "Line", "averaged", "build_lines", "difference", "mean_curve"]

NEEDS_UNKNOWN = frozenset({"h_score", "unknown"})
"""Figures of the target that need examples of classes that the source has not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """What runs say of each test example.

    Attributes:
        seeds: of the runs; those of a deterministic method are one.
        figures: (runs, N) figures whose mean is the main metric: 1 for a right answer, 0 for a wrong one.
        clusters: (N,) of examples that show the same thing, which are no independent questions.
    """

    seeds: tuple[int, ...]
    figures: NDArray[np.float64]
    clusters: NDArray[np.str_]

    def table(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Return the contributions (runs, clusters) of some seeds; one run of a deterministic method stands for all."""
        own = self.figures if len(self.seeds) == 1 else self.figures[[self.seeds.index(seed) for seed in seeds]]
        return by_cluster(own, self.clusters)


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
        answered: what the runs say of each test example; None where that is not stored.
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
    answered: Answered | None = None
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
    def deterministic(self) -> bool:
        """Whether several runs are one: seeds make no difference to the method."""
        if self.answered is not None:
            return len(self.values) > 1 and len(self.answered.seeds) == 1
        return len(self.values) > 1 and len(set(self.values.values())) == 1 and self.summary.std == 0

    @property
    def trials(self) -> int:
        """The number of settings that were tried for each of its runs; 1 without a search."""
        return max((int(record.receipt.get("trials", 1)) for record in self.records), default=1)

    @property
    def tuned_on(self) -> str:
        """Where its settings were chosen once for all of its runs; empty where each was tuned on its own."""
        found = next((record.receipt["tuned_on"] for record in self.records if "tuned_on" in record.receipt), None)
        return "" if found is None else f"{found['task']}, seed {found['seed']}"

    def held_out(self, metric: str) -> float:
        """Return the mean of its figure on held-out data of the source or of validation classes; NaN if not known.

        Those data hold no class that is unknown to the source: of figures that need one, they tell nothing.
        """
        if metric in NEEDS_UNKNOWN:
            return math.nan
        figures = []
        for record in self.records:
            scores = [score for score in record.receipt.get("validation_scores", ()) if not math.isnan(float(score))]
            known = (record.metrics.get(f"source/{metric}"), record.metrics.get(f"validation/{metric}"))
            figures.append(next((each for each in known if each is not None), max(scores, default=math.nan)))
        return math.nan if not figures else float(np.mean(figures))

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
    answered = _answered(records, values, store)
    return Line(
        label=label,
        cell=cells[0],
        values=values,
        summary=_covering(summary(list(values.values())), answered),
        answered=answered,
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


def _answered(records: Mapping[Cell, Record], values: Mapping[int, float], store: Store) -> Answered | None:
    """Return what runs say of each example, if all of them stored it and its mean is the main metric."""
    split = {record.splits.get(EXAMPLE_FIGURES) for record in records.values()}
    if len(split) != 1 or None in split:
        return None
    arrays = [store.predictions(cell) for cell in records]
    figures = np.stack([each[EXAMPLE_FIGURES].astype(np.float64) for each in arrays])
    if not np.allclose(figures.mean(axis=1), list(values.values()), atol=2e-3):
        return None  # of another metric
    clusters = arrays[0].get(EXAMPLE_CLUSTERS)
    named = [f"{next(iter(split))} {place}" for place in range(figures.shape[1])] if clusters is None else clusters
    alike = len(figures) > 1 and bool((figures == figures[0]).all())
    seeds = tuple(values)[:1] if alike else tuple(values)
    return Answered(seeds=seeds, figures=figures[: len(seeds)], clusters=np.asarray(named, dtype=str))


def _together(lines: Sequence[Line], seeds: Sequence[int]) -> Answered | None:
    """Return what runs say of the examples of all tasks, every task weighing the same."""
    parts = [line.answered for line in lines]
    if not seeds or any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    alike = all(len(part.seeds) == 1 for part in known)
    total = sum(part.figures.shape[1] for part in known)
    tables = []
    for part in known:
        rows = [0] * len(seeds) if len(part.seeds) == 1 else [part.seeds.index(seed) for seed in seeds]
        tables.append(part.figures[rows] * total / (len(known) * part.figures.shape[1]))
    figures = np.concatenate(tables, axis=1)
    kept = tuple(seeds)[:1] if alike else tuple(seeds)
    return Answered(seeds=kept, figures=figures[: len(kept)], clusters=np.concatenate([p.clusters for p in known]))


def _covering(found: Summary, answered: Answered | None) -> Summary:
    """Return the summary of the values with an interval that covers runs and test examples, where these are known."""
    if answered is None or not found.n:
        return found
    both = crossed_summary(answered.table(answered.seeds))
    return replace(found, low=both.low, high=both.high, method="crossed")


def averaged(by_task: Mapping[str, list[Line]], group: Group) -> list[Line]:
    """Return one line per label whose value for a seed is the mean over tasks, if all are finished."""
    rows = list(zip(*by_task.values(), strict=True))
    averaged = []
    for lines in rows:
        seeds = [seed for seed in lines[0].values if all(seed in line.values for line in lines)]
        values = {seed: sum(line.values[seed] for line in lines) / len(lines) for seed in seeds}
        answered = _together(lines, seeds)
        averaged.append(
            replace(
                lines[0],
                values=values,
                summary=_covering(summary(list(values.values())), answered),
                answered=answered,
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
    """Compare seed by seed and example by example, or two single runs episode by episode."""
    if line.episodes and against.episodes and line.episodes[0] == against.episodes[0]:
        return paired_difference(line.episodes[1], against.episodes[1])
    seeds = [seed for seed in line.values if seed in against.values]
    ours, theirs = line.answered, against.answered
    if seeds and ours and theirs and np.array_equal(ours.clusters, theirs.clusters):
        return crossed_difference(ours.table(seeds), theirs.table(seeds))
    return paired_difference([line.values[s] for s in seeds], [against.values[s] for s in seeds])


def mean_curve(line: Line, name: str) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return steps and the mean over runs of a curve; None if runs differ in length or have fewer than two points."""
    curves = [record.curves[name] for record in line.records if name in record.curves]
    if not curves or len({len(curve) for curve in curves}) > 1 or len(curves[0]) < 2:
        return None
    steps = line.records[0].curves.get("step")
    x = steps if steps and len(steps) == len(curves[0]) else list(range(1, len(curves[0]) + 1))
    return x, np.mean(curves, axis=0).tolist()
