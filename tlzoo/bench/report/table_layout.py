"""A table as rows of text for all formats, which add their own emphasis and escapes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tlzoo.bench.report.health import collapsed
from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.tables import Section, Table

__all__ = ["DASH", "Entry", "Layout", "Row", "layout", "number", "span"]

Emphasis = Literal["best", "tied", "oracle", "failed", ""]

DASH = "–"


@dataclass(frozen=True)
class Entry:
    """A table entry: its text, and the number to sort by if it has one."""

    text: str
    number: float = math.nan


@dataclass(frozen=True)
class Row:
    """The entries of one line; ``message`` replaces missing values."""

    entries: tuple[Entry, ...]
    emphasis: Emphasis
    message: str = ""


@dataclass(frozen=True)
class Layout:
    """A table as text: a title, column names, rows in titled sections, and notes below."""

    title: str
    header: tuple[str, ...]
    sections: tuple[tuple[str, tuple[Row, ...]], ...]
    notes: tuple[str, ...] = ()


def layout(table: Table) -> Layout:
    """Return a table as text."""
    sections = [(section.title, tuple(rows(table, section))) for section in table.sections]
    if table.not_rerun:
        sections.append(("published, not rerun here", tuple(_not_rerun(table))))
    return Layout(table.title, tuple(header(table)), tuple(sections), tuple(footnotes(table)))


def header(table: Table) -> list[str]:
    """Return the column names."""
    unit = " (%)" if table.group.percent else ""
    names = ["method", f"{table.group.metric}{unit}", "std", "95 % interval", "runs", "trials"]
    if table.literature:
        names.append(f"published{unit}")
    if table.reference:
        names.append(f"gain over {table.reference}")
    if table.task is None:
        names.append("average rank")
    return [*names, *(f"{name} (%)" if table.is_share(name) else name for name in table.group.columns)]


def rows(table: Table, section: Section) -> list[Row]:
    """Return the rows of a section."""
    return [_row(table, line) for line in section.lines]


def number(value: float, table: Table, *, signed: bool = False) -> str:
    """Return a value as shown in the table: percent with one decimal, or four decimals."""
    if math.isnan(value):
        return DASH
    scaled, digits = (100 * value, 1) if table.group.percent else (value, 4)
    scaled = round(scaled, digits) + 0.0  # no "-0.0"
    return f"{scaled:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def span(low: float, high: float, table: Table, *, signed: bool = False) -> str:
    """Return an interval as text, or a dash without one."""
    if math.isnan(low) or math.isnan(high):
        return DASH
    return f"[{number(low, table, signed=signed)}, {number(high, table, signed=signed)}]"


def _row(table: Table, line: Line) -> Row:
    label = Entry(line.label + (" (oracle)" if line.oracle else "") + (" †" if line.chosen_on_labels else ""))
    if not line.values:
        shown = () if table.published(line.label) is None else _published_alone(table, line.label)
        return Row((label, *shown), "failed" if line.failures else "", _message(line))
    count = str(len(line.values)) if len(line.values) == line.wanted else f"{len(line.values)} of {line.wanted}"
    count = "1 (deterministic)" if line.deterministic else count
    s = line.summary
    entries = [
        label,
        Entry(number(s.mean, table), s.mean),
        Entry(DASH) if line.deterministic else Entry(number(s.std, table), s.std),
        _interval(line, table),
        Entry(count, len(line.values)),
        Entry(str(line.trials), line.trials),
        *([_published(table, line.label)] if table.literature else []),
    ]
    if table.reference:
        entries.append(_gain(line, table))
    if table.task is None:
        entries.append(Entry(DASH if math.isnan(line.rank) else f"{line.rank:.2f}", line.rank))
    entries += [_extra(name, line.extras[name], table) for name in table.group.columns]
    emphasis: Emphasis = "oracle" if line.oracle else "best" if line.best else "tied" if line.tied else ""
    return Row(tuple(entries), emphasis, _message(line))


def _published(table: Table, label: str) -> Entry:
    found = table.published(label)
    if found is None:
        return Entry(DASH)
    value = table.value_of(found)
    if math.isnan(value):
        return Entry(DASH)
    return Entry(number(value, table) + ("" if found.confirmed else " ‡"), value)


def _published_alone(table: Table, label: str) -> tuple[Entry, ...]:
    """Return the entries behind the label of a row without figures of ours, up to its published value."""
    place = next(place for place, name in enumerate(header(table)) if name.startswith("published"))
    return *[Entry(DASH)] * (place - 1), _published(table, label)


def _not_rerun(table: Table) -> Iterator[Row]:
    """Yield the rows of methods that have published values only."""
    for found in table.not_rerun:
        yield Row((Entry(found.label), *_published_alone(table, found.label)), "")


def _extra(name: str, value: float, table: Table) -> Entry:
    if table.is_share(name):
        return Entry(number(value, table), value)
    plain = DASH if math.isnan(value) else f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return Entry(plain.replace("-", "−"), value)


def _interval(line: Line, table: Table) -> Entry:
    s = line.summary
    if line.deterministic and s.method != "crossed":
        return Entry(DASH)  # runs that repeat one another say nothing of how it varies
    if s.n < 2 and s.method != "crossed" and not math.isnan(line.within):
        return Entry(span(s.mean - line.within, s.mean + line.within, table) + " °", s.mean)
    return Entry(span(s.low, s.high, table), s.low)


def _gain(line: Line, table: Table) -> Entry:
    if line.gain is None or line.gain.difference.n == 0:
        return Entry(DASH)
    d = line.gain.difference
    text = number(d.mean, table, signed=True)
    if d.n > 1 or d.method == "crossed":
        text += f" {span(d.low, d.high, table, signed=True)}"
    return Entry(text, d.mean)


def _message(line: Line) -> str:
    """Return a message about what is missing."""
    parts = []
    if line.failures:
        seeds = ", ".join(str(failure.cell.seed) for failure in line.failures)
        which = f"{len(line.failures)} runs" if line.by_task else f"seed {seeds}"
        parts.append(f"failed ({which}): {line.failures[-1].last_line}")
    if fallen := [record for record in line.records if collapsed(record)]:
        which = f"{len(fallen)} runs" if line.by_task else f"seed {', '.join(str(r.cell.seed) for r in fallen)}"
        parts.append(f"collapsed ({which}): nearly all target data is answered with one class")
    if line.absent:
        parts.append("not run yet" if not line.values else f"{line.absent} not run yet")
    if line.values and line.summary.n == 0:
        parts.append("no such metric in its results, or undefined in all of them")
    return "; ".join(parts)


def footnotes(table: Table) -> list[str]:
    """Return the notes that a reader needs."""
    lines = table.lines
    methods = {line.summary.method for line in lines if not math.isnan(line.summary.low)}
    name = {
        "t": "over runs (Student's t)",
        "bootstrap": "over runs (percentile bootstrap)",
        "crossed": "over runs and test examples together",
    }
    notes = [f"intervals: 95 %, {' or '.join(name[m] for m in sorted(methods))}; none is over tasks"] if methods else []
    if any(line.summary.n < 2 and line.summary.method != "crossed" and not math.isnan(line.within) for line in lines):
        notes.append("° 95 % over the test examples or episodes of one run")
    gains = {line.gain.difference.method for line in lines if line.gain and not math.isnan(line.gain.difference.low)}
    if "crossed" in gains:
        notes.append(f"gains: over {table.reference}, paired by seed and test example, 95 % over both")
    elif table.reference and methods:
        notes.append(f"gains: paired on the same seeds with {table.reference}, 95 % Student's t")
    elif any(line.episodes and line.gain and line.gain.difference.n > 1 for line in lines):
        notes.append(f"gains: paired on the same episodes with {table.reference}, 95 % Student's t")
    if table.reference:
        notes.append(f"{table.reference}: {table.chosen}")
    if table.lacks:
        notes.append(f"no row {' and no row '.join(table.lacks)}: gains over weaker baselines say less")
    if places := sorted({line.tuned_on for line in lines if line.tuned_on}):
        where = places[0] if len(places) == 1 else f"one seed of each of {len(places)} tasks"
        notes.append(f"trials: settings tried, chosen without a test label on {where}, and frozen")
    elif any(line.trials > 1 for line in lines):
        notes.append("trials: settings tried for every run, chosen without a test label")
    if any(line.best for line in lines):
        notes.append("best of each section stands out; = marks ties: the paired interval of the difference holds 0")
    if any(not math.isnan(line.rank) for line in lines):
        notes.append("average rank over tasks, within the section")
    if any(line.oracle for line in lines):
        notes.append("the oracle trains on target labels: a bound, not a rival")
    if any(line.chosen_on_labels for line in lines):
        notes.append("† settings chosen on validation labels")
    if table.literature:
        notes.append(f"published: {'. '.join(each.note for each in table.literature)}")
    if any(not each.confirmed for each in table.literature):
        notes.append("‡ recalled, not confirmed")
    if any(line.summary.dropped for line in lines):
        notes.append("undefined figures (NaN) are left out of means")
    return notes
