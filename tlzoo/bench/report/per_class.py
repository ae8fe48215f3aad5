"""Answers by class: a table of accuracies per class and confusion matrices, from what cells store of their answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.report.costs_and_calibration import labelled
from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.plot import Plot
from tlzoo.bench.report.svg import new_panels, style, to_svg
from tlzoo.bench.report.table_layout import DASH, Entry, Layout, Row
from tlzoo.bench.report.tables import Table
from tlzoo.bench.store import Record, Store
from tlzoo.bench.stored_labels import Labels

__all__ = ["ByClass", "by_class"]

_MOST_LINES = 6
_MOST_CLASSES = 100
_MOST_NAMES = 12
"""Classes whose names fit beside a confusion matrix."""

_COLOR = (0.23, 0.49, 0.85)
"""Of confusion matrices; how opaque it is shows the share, so that it stands on a light or a dark page."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ByClass:
    """Accuracies per class of one prediction, and confusion matrices of few classes."""

    table: Layout
    plots: list[Plot]


@dataclass
class _Answers:
    """Counts of a line's runs: class -> examples, right ones and answers; the confusion matrix where it is known."""

    counts: dict[int, Counts] = field(default_factory=dict)
    confusion: Counts | None = None
    names: dict[int, str] = field(default_factory=dict)

    def add(self, counts: NDArray[Any], confusion: NDArray[Any] | None, names: NDArray[Any] | None) -> None:
        """Add a run: rows (K, 4) of class, examples, right ones and answers, (C, C) examples, and K names."""
        for place, (label, *own) in enumerate(counts.tolist()):
            self.counts[label] = self.counts.get(label, np.zeros(3, dtype=np.int64)) + np.array(own)
            if names is not None:
                self.names[label] = str(names[place])
        if confusion is not None:
            self.confusion = confusion if self.confusion is None else self.confusion + confusion

    def accuracy(self, label: int) -> float:
        """Return the share of a class's examples that is right."""
        examples, right, _ = self.counts.get(label, np.zeros(3, dtype=np.int64))
        return float(right / examples) if examples else math.nan


def by_class(table: Table, store: Store, labels: Labels) -> list[ByClass]:
    """Return the answers by class of a table, one for each prediction: of the reference, the best rows and the oracle.

    Args:
        table: of one task; others have none.
        store: where cells are.
        labels: of predictions that were stored without their counts.
    """
    if table.task is None:
        return []
    chosen = _chosen(table)
    answers = {line.label: _answers(line, store, labels) for line in chosen}
    names = dict.fromkeys(name for own in answers.values() for name in own)
    return [_shown(table, name, {label: own[name] for label, own in answers.items() if name in own}) for name in names]


def _chosen(table: Table) -> list[Line]:
    """Return the reference, then the best of the others; the oracle last."""
    sign = -1 if table.group.better == "higher" else 1
    lines = [line for line in table.lines if not math.isnan(line.summary.mean)]
    ranked = sorted(lines, key=lambda line: (line.label != table.reference, line.oracle, sign * line.summary.mean))
    rivals = [line for line in ranked if not line.oracle][:_MOST_LINES]
    return [*rivals, *(line for line in ranked if line.oracle)]


def _answers(line: Line, store: Store, labels: Labels) -> dict[str, _Answers]:
    found: dict[str, _Answers] = {}
    for record in line.records:
        for name, parts in _stored(record, store, labels):
            found.setdefault(name, _Answers()).add(*parts)
    return found


def _stored(record: Record, store: Store, labels: Labels) -> Iterator[tuple[str, tuple[Any, Any, Any]]]:
    """Yield the counts, confusion matrix and class names of each prediction; counted again where they are missing."""
    arrays = store.predictions(record.cell) if record.splits else {}
    kept = [name.removesuffix("#counts") for name in arrays if name.endswith("#counts")]
    for name in kept:
        yield name, (arrays[f"{name}#counts"], arrays.get(f"{name}#confusion"), arrays.get(f"{name}#names"))
    if not kept:
        for name, logits, found in labelled(record, store, labels, set()):
            size = logits.shape[1]
            confusion = np.bincount(found * size + logits.argmax(axis=1), minlength=size**2).reshape(size, size)
            columns = np.arange(size), confusion.sum(axis=1), confusion.diagonal(), confusion.sum(axis=0)
            yield name, (np.stack(columns, axis=1), confusion if size <= _MOST_CLASSES else None, None)


def _shown(table: Table, name: str, answers: dict[str, _Answers]) -> ByClass:
    of = name.removeprefix("test_").replace("_", " ")
    title = "Answers by class" + ("" if of in ("logits", "query logits") else f": {of}")
    return ByClass(_layout(table, title, answers), list(_confusions(table, title, answers)))


def _layout(table: Table, title: str, answers: dict[str, _Answers]) -> Layout:
    first = next(iter(answers.values()))
    asked = sorted(label for label, counts in first.counts.items() if counts[0])
    hardest = sorted(asked, key=first.accuracy)[:_MOST_CLASSES]
    rows = [_row(label, answers) for label in sorted(hardest)]
    notes = ["accuracy in percent, all runs of a row together"]
    if len(asked) > len(hardest):
        notes.append(f"the {_MOST_CLASSES} classes of {len(asked)} that {next(iter(answers))} answers worst")
    return Layout(
        f"{title} · {table.title}", ("class", "examples", *answers), (("classes", tuple(rows)),), tuple(notes)
    )


def _row(label: int, answers: dict[str, _Answers]) -> Row:
    first = next(iter(answers.values()))
    shares = [own.accuracy(label) for own in answers.values()]
    examples = int(first.counts[label][0])
    entries = [Entry(DASH) if math.isnan(share) else Entry(f"{100 * share:.1f}", share) for share in shares]
    return Row((Entry(_name(first, label)), Entry(f"{examples:,}", examples), *entries), "")


def _name(answers: _Answers, label: int) -> str:
    return answers.names.get(label, str(label))


def _confusions(table: Table, title: str, answers: dict[str, _Answers]) -> Iterator[Plot]:
    """Yield the confusion matrices of the reference and of the best row in one figure."""
    known = {label: own for label, own in answers.items() if own.confusion is not None}
    shown = list(known.items())[:2]
    if not shown:
        return
    with style():
        figure, places = new_panels(len(shown))
        figure.set_size_inches(6.4, 3.4)
        for axes, (label, own) in zip(places, shown, strict=True):
            assert own.confusion is not None
            axes.set_title(label, fontsize=9)
            axes.imshow(_shade(own.confusion), interpolation="nearest")
            axes.grid(visible=False)
            _name_classes(axes, own, len(own.confusion))
        caption = f"{title}: rows are classes, columns answers, the share of a class's examples as opacity."
        yield Plot(caption, to_svg(figure, f"confusion {title} {table.title}"))


def _shade(confusion: Counts) -> NDArray[np.float64]:
    """Return an image (C, C, 4) of the share of each class's examples that is answered by each class."""
    image = np.empty((*confusion.shape, 4))
    image[..., :3] = _COLOR
    image[..., 3] = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return image


def _name_classes(axes: Any, answers: _Answers, size: int) -> None:
    places: Sequence[int] = range(size) if size <= _MOST_NAMES else []
    names = [_name(answers, label)[:14] for label in places]
    axes.set_xticks(places, names, rotation=90, fontsize=7)
    axes.set_yticks(places, names, fontsize=7)
    if not places:
        axes.set_xlabel("answer", fontsize=8)
        axes.set_ylabel("class", fontsize=8)
