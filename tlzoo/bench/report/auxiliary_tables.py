"""Tables beside the main one: costs, calibration and selection."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from tlzoo.bench.report.costs_and_calibration import calibration, cost
from tlzoo.bench.report.delta_m import deltas
from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.table_layout import DASH, Entry, Layout, Row, number
from tlzoo.bench.report.tables import Table
from tlzoo.bench.report.validators import choices, judged
from tlzoo.bench.store import Record, Store
from tlzoo.bench.stored_labels import Labels
from tlzoo.stats import mean_of_known

__all__ = ["build_auxiliary_tables"]


def build_auxiliary_tables(tables: Sequence[Table], store: Store) -> list[Layout]:
    """Return the auxiliary tables of a group and backbone, from its table of means if there is one.

    Args:
        tables: from :func:`~tlzoo.bench.report.build_tables`.
        store: the store with the predictions.
    """
    whole = [table for table in tables if table.task is None or len(table.group.tasks) == 1]
    made = [make(table, store) for table in whole for make in (deltas, _costs, _selection, _validators)]
    return [layout for layout in made if layout is not None]


def _layout(
    table: Table, what: str, header: Sequence[str], row: Callable[[Line], list[Entry]], notes: list[str]
) -> Layout:
    sections = []
    for section in table.sections:
        rows = tuple(_row(line, row(line)) for line in section.lines if line.records)
        if rows:
            sections.append((section.title, rows))
    return Layout(f"{what} · {table.title}", ("method", *header), tuple(sections), tuple(notes))


def _row(line: Line, entries: list[Entry]) -> Row:
    label = line.label + (" (oracle)" if line.oracle else "")
    return Row((Entry(label), *entries), "oracle" if line.oracle else "")


def _plain(value: float, digits: int) -> Entry:
    if math.isnan(value):
        return Entry(DASH)
    return Entry(f"{value:,.{digits}f}".replace("-", "−"), value)


def _costs(table: Table, store: Store) -> Layout | None:
    """Return training steps, time, parameters and calibration; None if nothing is finished."""
    against = {
        (record.cell.task, record.cell.seed): record
        for line in table.lines
        if line.label == table.reference
        for record in line.records
    }
    missing: set[str] = set()
    labels = Labels()
    figures = {line.label: _cost_figures(line, against, store, labels, missing) for line in table.lines if line.records}
    if not figures:
        return None
    names = [name for name in _COST_COLUMNS if any(not math.isnan(own[name]) for own in figures.values())]
    if not names:
        return None
    notes = [note for name in names if (note := _COST_COLUMNS[name][1])]
    notes += [f"calibration is not known: {why}" for why in sorted(missing)]
    header = [f"{name} / {table.reference}" if name == "time" else name for name in names]

    def row(line: Line) -> list[Entry]:
        return [_plain(figures[line.label][name], _COST_COLUMNS[name][0]) for name in names]

    return _layout(table, "Cost and calibration", header, row, notes)


_COST_COLUMNS = {
    "steps": (0, "steps: of training, all trials of a search included"),
    "time": (2, "time: of a cell, as a ratio to the reference of the same task, seed and machine; median"),
    "parameters": (0, "parameters: that are trained"),
    "ECE": (3, "ECE: expected calibration error, 15 bins; NLL: in nats, of the softmax on test data"),
    "NLL": (3, ""),
    "macro-F1": (3, ""),
}
"""Column -> its digits and its note."""


def _cost_figures(
    line: Line, against: dict[tuple[str, int], Record], store: Store, labels: Labels, missing: set[str]
) -> dict[str, float]:
    costs = [cost(record, against.get((record.cell.task, record.cell.seed))) for record in line.records]
    calibrated = [calibration(record, store, labels, missing) for record in line.records]
    return {
        "steps": mean_of_known(each.steps for each in costs),
        "time": _median_of_known(each.time for each in costs),
        "parameters": mean_of_known(each.parameters for each in costs),
        "ECE": mean_of_known(each.ece for each in calibrated),
        "NLL": mean_of_known(each.nll for each in calibrated),
        "macro-F1": mean_of_known(each.macro_f1 for each in calibrated),
    }


def _median_of_known(values: Iterable[float]) -> float:
    """Return the median of the values that are not NaN; a stalled cell must not dominate."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _selection(table: Table, _: Store) -> Layout | None:
    """Return the accuracy at the step that each validator picks, at the last and at the best step, or None."""
    made = {line.label: [choices(record) for record in line.records] for line in table.lines if line.records}
    found = dict.fromkeys(name for own in made.values() for each in own for name in each)
    if len(found) < 3:  # the last step and the oracle alone are no selection
        return None
    names = [*(name for name in found if name not in ("last", "oracle")), "last", "oracle"]
    picked = {
        label: [mean_of_known(each.get(name, math.nan) for each in own) for name in names]
        for label, own in made.items()
    }
    notes = [
        "accuracy at the step that a label-free validator picks; last: no selection",
        "oracle: the best step by test labels, a bound that cannot be selected in practice",
    ]
    return _layout(
        table, "Selection", names, lambda line: [Entry(number(v, table), v) for v in picked[line.label]], notes
    )


def _validators(table: Table, _: Store) -> Layout | None:
    """Return how well each validator ranks; None without validation."""
    records = [record for line in table.lines if not line.oracle for record in line.records]
    found = judged(records)
    if not found:
        return None
    rows = tuple(
        Row(
            (
                Entry(judgement.name),
                _plain(judgement.within, 2),
                _plain(judgement.across, 2),
                Entry(number(judgement.lost, table), judgement.lost),
            ),
            "",
        )
        for judgement in found
    )
    notes = (
        "rank correlation (Spearman, ties share ranks) with test accuracy: over the checkpoints of a run, mean of "
        "runs; over methods at the last step, mean of tasks and seeds",
        "lost: test accuracy at the oracle's step minus that at the picked one",
    )
    header = ("validator", "over checkpoints", "over methods", "lost" + (" (%)" if table.group.percent else ""))
    return Layout(f"Validators · {table.title}", header, (("all methods that may be validated", rows),), notes)
