"""The baseline rows that each kind of table needs, and which of them gains are measured against."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tlzoo.bench.cell import Cell
from tlzoo.errors import InputError

__all__ = [
    "MissingBaselineError",
    "Rival",
    "absent_baselines",
    "is_baseline",
    "is_oracle",
    "is_single_task",
    "missing_baselines",
    "reference",
]


class MissingBaselineError(InputError):
    """A table lacks a baseline row that its kind needs."""


@dataclass(frozen=True)
class _Baseline:
    words: str
    matches: Callable[[Cell], bool]


def _named(*methods: str) -> Callable[[Cell], bool]:
    return lambda cell: cell.method in methods


def _tuned_fixed(cell: Cell) -> bool:
    return cell.method == "multitask/fixed" and bool(cell.candidates)


def is_single_task(cell: Cell) -> bool:
    """Return whether the row of this cell trains every task separately."""
    return cell.module.get("sharing") == "none"


_REFERENCE: dict[str, _Baseline] = {
    "domain": _Baseline(
        "adaptation/source_only (or adaptation/unaligned in a table of methods on features)",
        _named("adaptation/source_only", "adaptation/unaligned"),
    ),
    "multitask": _Baseline("multitask/fixed with candidates (tuned fixed weights)", _tuned_fixed),
    "episode": _Baseline(
        "oneshot/protonet (nearest centroid on raw features; oneshot/text_only where new classes have texts alone)",
        _named("oneshot/protonet", "oneshot/text_only"),
    ),
    "zeroshot": _Baseline(
        "zeroshot/cosine (or zeroshot/ridge where features and descriptions live in different spaces)",
        _named("zeroshot/cosine", "zeroshot/ridge"),
    ),
    "finetuning": _Baseline("finetuning/from_scratch", _named("finetuning/from_scratch")),
}
"""The baseline that every table of a kind needs."""

_STRONGEST: dict[str, tuple[_Baseline, ...]] = {
    "domain": (_Baseline("adaptation/linear_classifier (tuned)", _named("adaptation/linear_classifier")),),
    "multitask": (),
    "episode": (
        _Baseline("oneshot/whitening", _named("oneshot/whitening")),
        _Baseline(
            "oneshot/logistic (or oneshot/whitened_logistic)", _named("oneshot/logistic", "oneshot/whitened_logistic")
        ),
    ),
    "zeroshot": (_Baseline("zeroshot/ridge", _named("zeroshot/ridge")),),
    "finetuning": (_Baseline("finetuning/linear_probe", _named("finetuning/linear_probe", "finetuning/lp_ft")),),
}
"""Further baselines of the same supervision: gains are measured against the best of all that a table has."""


_REJECTING = _Baseline(
    "adaptation/source_only with unknown: 0.5",
    lambda cell: cell.method == "adaptation/source_only" and cell.settings.get("unknown") is not None,
)
"""The strong baseline where the target has classes that the source has not."""

_ORACLE = _Baseline("adaptation/target_only", _named("adaptation/target_only"))

_FURTHER: dict[str, tuple[_Baseline, ...]] = {
    "domain": (_ORACLE,),
    "multitask": (_Baseline("a single-task row (module: {sharing: none})", is_single_task),),
}


@dataclass(frozen=True)
class Rival:
    """A row that may be the reference of gains: one of its cells, and its figures as higher is better.

    Attributes:
        cell: the first of its cells.
        held_out: its figure on data that no test has; NaN where it is not known.
        test: its figure on the test.
    """

    cell: Cell
    held_out: float
    test: float


def reference(kind: str, rows: Sequence[Rival]) -> tuple[int, str] | None:
    """Return the place of the row that gains are measured against and the rule that chose it; None without any.

    It is the best of the baselines by its own rule, held-out data (of the source, of validation classes ...). Where
    those figures are not known of all of them, it is the best on the test, which is a higher bar for the other rows.
    """
    places = [place for place, row in enumerate(rows) if _is_floor(kind, row.cell)]
    known = [place for place in places if not math.isnan(rows[place].test)]
    if len(known) < 2:
        return ((known or places)[0], "the only baseline") if places else None
    if not any(math.isnan(rows[place].held_out) for place in known):
        return max(known, key=lambda place: rows[place].held_out), f"best of {len(known)} baselines on held-out data"
    return max(known, key=lambda place: rows[place].test), f"best of {len(known)} baselines on the test"


def _is_floor(kind: str, cell: Cell) -> bool:
    """Return whether a row is a baseline of the same supervision or less: no bound, no other architecture."""
    return not is_single_task(cell) and any(each.matches(cell) for each in (_REFERENCE[kind], *_STRONGEST[kind]))


def absent_baselines(kind: str, cells: Iterable[Cell], *, learns: bool = True, rejects: bool = False) -> list[str]:
    """Return in words the strong baselines that a table could have and has not: gains in it say less.

    Args:
        kind: of the table.
        cells: one of each row.
        learns: whether some row learns from labelled examples. Where none does, a zero-shot baseline that learns from
            those of other classes would see more than any row, and is not expected.
        rejects: whether the metric needs the answer "unknown"; baselines that never give it are no bar then.
    """
    rows = list(cells)
    if kind == "domain" and rejects:
        return [] if any(map(_REJECTING.matches, rows)) else [_REJECTING.words]
    if kind == "zeroshot" and not learns:
        return []
    if kind == "domain" and not any(cell.module.get("frozen") for cell in rows):
        return []  # a linear classifier takes frozen features
    return [each.words for each in _STRONGEST[kind] if not any(map(each.matches, rows))]


def is_baseline(cell: Cell) -> bool:
    """Return whether the row of this cell is a baseline."""
    own = (_REFERENCE[cell.kind], *_STRONGEST[cell.kind], *_FURTHER.get(cell.kind, ()))
    return any(each.matches(cell) for each in own)


def is_oracle(cell: Cell) -> bool:
    """Return whether the row of this cell sees what no method of the table may, so that it is only a bound."""
    return cell.kind == "domain" and _ORACLE.matches(cell)


def missing_baselines(kind: str, cells: Iterable[Cell]) -> list[str]:
    """Return in words which baseline rows of this kind of table are missing among ``cells``."""
    rows = list(cells)
    transductive = any(
        ":literature" in cell.task for cell in rows
    )  # trained on the test's labels, a bound says nothing
    wanted = (_REFERENCE[kind], *(() if transductive else _FURTHER.get(kind, ())))
    return [baseline.words for baseline in wanted if not any(map(baseline.matches, rows))]
