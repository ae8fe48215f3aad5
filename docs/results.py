"""Tables of the committed results (benchmarks/results/*.json), grouped by what methods saw."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tlzoo.bench.baselines import Rival, absent_baselines, reference
from tlzoo.bench.cell import Cell
from tlzoo.bench.protocols.settings import REVISIONS
from tlzoo.bench.published import Published, published
from tlzoo.bench.report.tables import compared_by
from tlzoo.data.catalog import task_revision
from tlzoo.stats import mean_of_known, paired_difference, summary

__all__ = ["FOLDER", "measured_by_today", "results"]

FOLDER = Path(__file__).parent.parent / "benchmarks" / "results"
Table = Callable[..., str]

_METRIC = "test/accuracy"
_TUNED = "†"
_SHAPE = ("way", "shot", "query", "dirichlet", "episodes")
"""Of a budget, what makes another question of it: rows of one table have it in common."""

_NO_COLUMN = frozenset(
    f"test/{name}"
    for name in ("accuracy", "interval", "error", "per_class", "balanced_accuracy", "macro_accuracy", "macro_f1")
)
"""Figures of the test that stand elsewhere in a line, or say again what the mean says."""

_CEILING = "target only"
"""The row up to which adaptation closes a gap."""


@dataclass
class _Row:
    """A method of a group: its cells by task and seed."""

    sees: str
    label: str
    cells: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def of(self, task: str, metric: str = _METRIC) -> dict[int, float]:
        """Return a figure by seed, in percent; NaN where it is undefined."""
        own = {seed: cell["metrics"].get(metric) for (at, seed), cell in self.cells.items() if at == task}
        return {seed: 100 * _known(value) for seed, value in own.items()}

    @property
    def name(self) -> str:
        """The label without its mark."""
        return self.label.removesuffix(f" {_TUNED}")

    @property
    def cell(self) -> Cell:
        """One of its cells, as far as it tells what kind of row it is."""
        own = next(iter(self.cells.values()))
        known = ("kind", "task", "method", "backbone", "module", "candidates")
        return Cell(**{"method": "", **{name: own[name] for name in known if name in own}})

    def held_out(self, tasks: Sequence[str], metric: str) -> float:
        """Return its mean figure on held-out data of the source or of validation classes; NaN where none is stored."""
        name = metric.partition("/")[2]
        known = [mean_of_known(self.means(tasks, f"{place}/{name}")) for place in ("source", "validation")]
        return next((figure for figure in known if not math.isnan(figure)), math.nan)

    @property
    def deterministic(self) -> bool:
        """Whether seeds make no difference to it."""
        tasks = {task for task, _ in self.cells}
        found = [list(self.of(task).values()) for task in tasks]
        return all(len(values) > 1 and len(set(values)) == 1 for values in found)

    def means(self, tasks: Sequence[str], metric: str = _METRIC) -> list[float]:
        """Return the mean over tasks of each seed that all of them have."""
        columns = [self.of(task, metric) for task in tasks]
        seeds = [seed for seed in columns[0] if all(seed in column for column in columns)]
        return [math.fsum(column[seed] for column in columns) / len(columns) for seed in seeds]


@dataclass
class _Group:
    """Rows that answer the same tasks."""

    title: str
    where: str
    tasks: list[str]
    rows: list[_Row]
    metric: str = _METRIC
    literature: tuple[Published, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    """What the file says of the group's rows; empty in files of older versions."""

    def said(self, row: _Row) -> dict[str, Any]:
        """Return what the file says of a row."""
        return next((each for each in self.summary.get("rows", ()) if each["label"] == row.name), {})

    @cached_property
    def reference(self) -> tuple[_Row, str] | None:
        """The row that gains are measured against, and how it was chosen among the baselines."""
        rivals = [
            Rival(row.cell, row.held_out(self.tasks, self.metric), mean_of_known(row.means(self.tasks, self.metric)))
            for row in self.rows
        ]
        if self.summary.get("reference"):
            named = next(row for row in self.rows if row.name == self.summary["reference"])
            return named, str(self.summary["chosen"])
        found = reference(rivals[0].cell.kind, rivals)
        return None if found is None else (self.rows[found[0]], found[1])


def results(table: Table, folder: Path = FOLDER, suite: str | None = None) -> str:
    """Return the tables of every suite, or the sentence that there is none; of one suite all that is known of it.

    Args:
        table: makes a table of a header and rows.
        folder: where ``tlzoo bench export SUITE --metrics`` wrote.
        suite: one suite, with the tables that only its own page has room for; None for the main tables of all.
    """
    files = sorted(folder.glob("*.json")) if suite is None else [folder / f"{suite}.json"]
    if not files or not files[0].is_file():
        return f"No results are committed yet; `tlzoo bench run {suite or 'quickstart'}` makes some."
    return "\n\n".join(
        part for file in files for part in _suite(json.loads(file.read_text("utf-8")), table, alone=suite is not None)
    )


def _suite(suite: dict[str, Any], table: Table, *, alone: bool) -> Iterator[str]:
    if not alone:
        yield f"**{suite['suite']}.** {suite['question']} Accuracy on test data, in percent."
    judgements = dict(suite.get("judgements", {}))
    metrics = suite.get("metrics", {})
    for group in _groups(suite["cells"]):
        own = str(metrics.get(group.title, _METRIC))
        group.metric = own if own.endswith("accuracy") else _METRIC
        group.summary = _summary(group, suite.get("tables", []))
        group.literature = tuple(each for each in published(suite["suite"]) if each.group == group.title)
        several = len(group.tasks) > 1
        names = ", ".join(f"`{task}`" for task in group.tasks)
        title = f"**{group.title}:** " if group.title else ""
        yield f"{title}{f'mean of {len(group.tasks)} tasks' if several else names}{group.where}"
        rows = list(_lines(group))
        yield table(_header(group), rows)
        if any(line[1].endswith(_TUNED) for line in rows):
            yield f"{_TUNED} settings chosen on validation labels"
        yield from _literature(group)
        yield from _about_gains(group)
        yield from _of_older_revisions(group)
        if alone:
            yield from _choices(group, table)
            yield from _judgements(judgements.pop(group.title, []), table)


def _about_gains(group: _Group) -> Iterator[str]:
    """Say what gains are measured against, and which baselines are missing."""
    if group.summary:
        covered = {row["over"] for row in group.summary["rows"]}
        yield f"Intervals cover {' or '.join(sorted(covered))}; those of gains are of paired differences."
    if group.reference is not None and (group.summary or len(group.tasks) > 1):
        row, rule = group.reference
        best = max((r for r in group.summary.get("rows", ()) if r["role"] == "baseline"), key=_mean, default=None)
        better = best is not None and best["label"] != row.name
        yield f"Gains are over {row.label}: {rule}." + (
            f" On the test the best baseline is {best['label']}, {100 * best['mean']:.1f}." if best and better else ""
        )
    cells = [row.cell for row in group.rows]
    if lacking := absent_baselines(cells[0].kind, cells):
        missing = " and no row ".join(f"`{each}`" for each in lacking)
        yield f"*No row {missing}: a gain over a weaker baseline says less.*"


def _mean(row: dict[str, Any]) -> float:
    return -math.inf if row["mean"] is None else float(row["mean"])


def _of_older_revisions(group: _Group) -> Iterator[str]:
    """Say of which tasks the examples have changed since these results were measured."""
    cells = [pair for row in group.rows for pair in row.cells.items()]
    protocol = {cell["revisions"]["protocol"] for _, cell in cells if "protocol" in cell.get("revisions", {})}
    today = REVISIONS[cells[0][1]["kind"]]
    if protocol and min(protocol) < today:
        yield (
            f"*Measured by revision {min(protocol)} of the protocol, before every row had a budget for tuning; today's "
            f"is {today}, and the figures are to be measured again.*"
        )
    then = {task: cell["revisions"].get("task", 1) for (task, _), cell in cells if "revisions" in cell}
    older = sorted(task for task, revision in then.items() if revision < task_revision(task))
    if older:
        which = "these tasks" if len(older) == len(group.tasks) else ", ".join(f"`{task}`" for task in older)
        yield (
            f"*Measured under revision {then[older[0]]} of {which}; their examples are those of revision "
            f"{task_revision(older[0])} today, and the figures are to be measured again.*"
        )


def measured_by_today(cells: Sequence[dict[str, Any]]) -> bool:
    """Return whether all cells are of today's revisions of their protocols and tasks."""
    return all(
        cell.get("revisions", {}).get("protocol", 0) == REVISIONS[cell["kind"]]
        and cell["revisions"].get("task", 1) == task_revision(cell["task"])
        for cell in cells
    )


def _groups(cells: list[dict[str, Any]]) -> list[_Group]:
    """Return the groups of a suite: tasks on one backbone that the same rows answer stand together."""
    found: dict[tuple[str, str, str], dict[tuple[str, str], _Row]] = {}
    for cell in cells:
        budget = cell.get("budget", {})
        shape = "".join(f", {name} {budget[name]}" for name in _SHAPE if name in budget)
        place = cell.get("group", ""), cell["task"], f" on `{cell.get('backbone') or 'no backbone'}`{shape}"
        seen = tuple(cell["receipt"]["sees"])
        compared = compared_by(seen)
        key = ", ".join(compared) or "nothing", cell["label"] + ("" if compared == seen else f" {_TUNED}")
        row = found.setdefault(place, {}).setdefault(key, _Row(*key))
        row.cells[cell["task"], cell.get("seed", 0)] = cell
    merged: dict[tuple[str, str, frozenset[tuple[str, str]]], _Group] = {}
    for (title, task, where), rows in found.items():
        group = merged.setdefault((title, where, frozenset(rows)), _Group(title, where, [], list(rows.values())))
        group.tasks.append(task)
        for own in group.rows:
            own.cells |= rows[own.sees, own.label].cells
    return list(merged.values())


def _header(group: _Group) -> tuple[str, ...]:
    interval = "95 % interval" if group.summary else "95 % interval over seeds"
    header: tuple[str, ...] = ("what methods see", "method", "mean", interval, "runs")
    header += ("gain",) if group.summary.get("reference") else ()
    header += ("published",) if group.literature else ()
    further = tuple(name.removeprefix("test/").replace("/", " ").replace("_", " ") for name in _further(group))
    if len(group.tasks) < 2:
        return (*header, *further)
    gap = () if group.reference is None else ("better on",)
    gap += () if group.reference is None or _reference(group, _CEILING) is None else ("gap closed",)
    return (*header, *further, *gap, *_short_names(group.tasks))


def _further(group: _Group) -> list[str]:
    """Return the other figures of the group's tests, such as one a target of a multitask network."""
    kinds = {cell["kind"] for row in group.rows for cell in row.cells.values()}
    usual = {"test/macro_f1"} if kinds == {"zeroshot"} else set()  # the field's second figure there
    shown = (name for name in _metrics(group) if name not in _NO_COLUMN or name in usual)
    return [name for name in shown if name.rpartition("/")[0] == "test" or name == "calibrated/harmonic"]


def _metrics(group: _Group) -> list[str]:
    return list(dict.fromkeys(name for row in group.rows for cell in row.cells.values() for name in cell["metrics"]))


def _short_names(tasks: Sequence[str]) -> list[str]:
    """Return what tells tasks apart: the parts between colons that all share are left out."""
    parts = [task.split(":") for task in tasks]
    if len({len(own) for own in parts}) > 1:
        return list(tasks)
    telling = [len(set(place)) > 1 for place in zip(*parts, strict=True)]
    kept = [":".join(part for part, tells in zip(own, telling, strict=True) if tells) for own in parts]
    return [name.replace("->", " → ") for name in kept]


def _lines(group: _Group) -> Iterator[tuple[str, ...]]:
    several = len(group.tasks) > 1
    before = ""
    for row in sorted(group.rows, key=lambda row: row.sees):
        found = summary(row.means(group.tasks, group.metric))
        runs = "1" if row.deterministic else str(found.n)
        if row.deterministic:
            interval = "deterministic"
        elif found.n > 1:
            interval = f"{found.low:.1f} to {found.high:.1f}"
        else:
            half = next(iter(row.cells.values()))["metrics"].get("test/interval")
            interval = "one run" if half is None or several else f"± {100 * half:.1f}, within the run"
        said = group.said(row)
        if said:
            interval = _bounds(said)
        line: tuple[str, ...] = "" if row.sees == before else row.sees, row.label, f"{found.mean:.1f}", interval, runs
        if group.summary.get("reference"):
            gain = said.get("gains", {}).get(group.summary["reference"])
            line = (*line, "" if gain is None else _bounds(gain, signed=True))
        if group.literature:
            line = (*line, _published(group, row.label))
        apart = [f"{mean_of_known(row.of(task, group.metric).values()):.1f}" for task in group.tasks] if several else []
        others = [_figure(_overall(row, group, name)) for name in _further(group)]
        yield (*line, *others, *(_gap(group, row) if several else ()), *apart)
        before = row.sees


def _bounds(said: dict[str, Any], *, signed: bool = False) -> str:
    """Return the interval of a row in percent, or its gain with the interval of that."""
    if said["mean"] is None or said["low"] is None:
        return "one run"
    mean, low, high = (100 * said[name] for name in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" if signed else f"{low:.1f} to {high:.1f}"


def _summary(group: _Group, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the file says of a group; nothing where several tables have its title."""
    own = [each for each in tables if each["group"] == group.title]
    labels = {row.name for row in group.rows}
    return own[0] if len(own) == 1 and labels == {row["label"] for row in own[0]["rows"]} else {}


def _published(group: _Group, label: str) -> str:
    """Return the published mean of a row, in percent."""
    found = next((each for each in group.literature if each.label == label), None)
    return "" if found is None else f"{100 * found.of(None):.1f}{'' if found.confirmed else ' ‡'}"


def _literature(group: _Group) -> Iterator[str]:
    """Say where published values were read, and list those that no row of ours has."""
    if not group.literature:
        return
    labels = {row.label for row in group.rows}
    if missing := [each for each in group.literature if each.label not in labels]:
        listed = ", ".join(f"{each.label} {_published(group, each.label)}" for each in missing)
        yield f"Published, not rerun here: {listed}."
    recalled = " ‡ recalled, not confirmed." if any(not each.confirmed for each in group.literature) else ""
    yield f"Published: {'. '.join(dict.fromkeys(each.note for each in group.literature))}.{recalled}"


def _reference(group: _Group, label: str) -> _Row | None:
    return next((row for row in group.rows if row.label == label), None)


def _gap(group: _Group, row: _Row) -> Iterator[str]:
    """Yield on how many tasks a row is better than the reference, and what share of the gap it closes."""
    if group.reference is None:
        return
    floor, ceiling = group.reference[0], _reference(group, _CEILING)
    gains = [_gain(row.of(task, group.metric), floor.of(task, group.metric)) for task in group.tasks]
    better = sum(gain.n > 1 and gain.low > 0 for gain in gains)
    several_runs = any(gain.n > 1 for gain in gains)  # one run has no interval over seeds
    yield f"{better} of {len(gains)}" if several_runs and row is not floor else ""
    if ceiling is not None:
        low, high, own = (mean_of_known(each.means(group.tasks, group.metric)) for each in (floor, ceiling, row))
        yield "" if row in (floor, ceiling) else f"{100 * (own - low) / (high - low):.0f} %"


def _gain(own: dict[int, float], other: dict[int, float]) -> Any:
    seeds = [seed for seed in own if seed in other]
    return paired_difference([own[seed] for seed in seeds], [other[seed] for seed in seeds]).difference


def _choices(group: _Group, table: Table) -> Iterator[str]:
    """Yield the accuracy at the checkpoint that each validator picks."""
    picked = [name for name in _metrics(group) if name.startswith("selected/")]
    if not picked:
        return
    yield "Test accuracy at the checkpoint that each validator picks, without a label of the target:"
    columns = [group.metric, *picked, f"oracle/{group.metric.partition('/')[2]}"]
    names = ("last", *(name.partition("/")[2].replace("_", " ") for name in picked), "oracle")
    shown = [row for row in group.rows if any(not math.isnan(_overall(row, group, name)) for name in picked)]
    lines = ((row.label, *(_figure(_overall(row, group, name)) for name in columns)) for row in shown)
    yield table(("method", *names), lines)


def _judgements(judged: Sequence[dict[str, Any]], table: Table) -> Iterator[str]:
    """Yield how well validators rank."""
    if not judged:
        return
    yield (
        "Rank correlation (Spearman) of each validator with test accuracy, over the checkpoints of a run and over "
        "methods at the last step, and what picking by it loses against the best checkpoint:"
    )
    lines = [
        (each["name"].replace("_", " "), *(_figure(_known(each[name]), digits=2) for name in ("within", "across")))
        for each in judged
    ]
    lost = [_figure(100 * _known(each["lost"])) for each in judged]
    rows = [(*line, points) for line, points in zip(lines, lost, strict=True)]
    yield table(("validator", "within runs", "over methods", "lost"), rows)


def _overall(row: _Row, group: _Group, metric: str) -> float:
    return mean_of_known(row.means(group.tasks, metric))


def _known(value: float | None) -> float:
    """Return a number of a file: JSON has no NaN."""
    return math.nan if value is None else value


def _figure(value: float, *, digits: int = 1) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
