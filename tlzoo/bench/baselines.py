"""The baseline rows that each kind of table needs; without them a gain means nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tlzoo.bench.cell import Cell

__all__ = ["MissingBaselineError", "is_baseline", "is_oracle", "is_single_task", "missing_baselines", "reference"]


class MissingBaselineError(ValueError):
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
"""What gains are measured against."""

_ORACLE = _Baseline("adaptation/target_only", _named("adaptation/target_only"))

_FURTHER: dict[str, tuple[_Baseline, ...]] = {
    "domain": (_ORACLE,),
    "multitask": (_Baseline("a single-task row (module: {sharing: none})", is_single_task),),
}


def reference(kind: str, cells: Iterable[Cell]) -> Cell | None:
    """Return a cell of the reference row for gains, the first in the table, or None."""
    return next((cell for cell in cells if _REFERENCE[kind].matches(cell) and not is_single_task(cell)), None)


def is_baseline(cell: Cell) -> bool:
    """Return whether the row of this cell is a baseline that its kind of table needs."""
    return any(b.matches(cell) for b in (_REFERENCE[cell.kind], *_FURTHER.get(cell.kind, ())))


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
