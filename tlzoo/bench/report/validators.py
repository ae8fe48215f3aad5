"""What label-free validators pick and how well they rank, from stored curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlzoo.bench.store import Record
from tlzoo.stats import mean_of_known

__all__ = ["Judgement", "choices", "judged", "rank_correlation"]

_VALIDATION, _TEST = "validation/", "test"


@dataclass(frozen=True)
class Judgement:
    """How well a validator ranks.

    Attributes:
        name: name of the validator.
        within: rank correlation with test accuracy over the checkpoints of a run, averaged over runs.
        across: rank correlation over methods at the last step, averaged over tasks and seeds.
        lost: accuracy at the best checkpoint minus that at the picked one, averaged over runs.
    """

    name: str
    within: float
    across: float
    lost: float


def _curves(record: Record) -> Mapping[str, Sequence[float]]:
    """Return the validation curves by validator, if there is a test curve."""
    test = record.curves.get(_TEST, ())
    return {
        name.removeprefix(_VALIDATION): curve
        for name, curve in record.curves.items()
        if name.startswith(_VALIDATION) and len(curve) == len(test)
    }


def choices(record: Record) -> dict[str, float]:
    """Return the test accuracy at the step that each validator picks (the first of equals), the last and the best."""
    test = record.curves.get(_TEST)
    if not test:
        return {}
    picked = {name: _picked(test, curve) for name, curve in _curves(record).items()}
    return {**picked, "last": test[-1], "oracle": max(test)}


def judged(records: Sequence[Record]) -> list[Judgement]:
    """Return a judgement of every recorded validator; methods without target inputs have none."""
    found = [(record, _curves(record)) for record in records]
    names = dict.fromkeys(name for _, curves in found for name in curves)
    return [_judgement(name, [(record, curves[name]) for record, curves in found if name in curves]) for name in names]


def _judgement(name: str, curves: Sequence[tuple[Record, Sequence[float]]]) -> Judgement:
    runs = [(curve, record.curves[_TEST]) for record, curve in curves]
    lost = [max(test) - _picked(test, curve) for curve, test in runs if len(test) > 1]  # one checkpoint is no choice
    places: dict[tuple[str, str | None, int], list[tuple[float, float]]] = {}
    for record, curve in curves:
        place = record.cell.task, record.cell.backbone, record.cell.seed
        places.setdefault(place, []).append((curve[-1], record.curves[_TEST][-1]))
    across = [tuple(zip(*own, strict=True)) for own in places.values()]
    return Judgement(name, *map(mean_of_known, (_rank_correlations(runs), _rank_correlations(across), lost)))


def _picked(test: Sequence[float], curve: Sequence[float]) -> float:
    return test[int(np.argmax(curve))]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rank correlation; NaN with fewer than three points, or if a side is constant or has NaN.

    >>> rank_correlation([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
    0.5
    """
    return _rank_correlations([(first, second)])[0]


def _rank_correlations(pairs: Iterable[Sequence[Sequence[float]]]) -> list[float]:
    """Return the correlations of pairs, in any order; those of equal length at once, because a suite has thousands."""
    from scipy.stats import rankdata

    by_length: dict[int, list[Sequence[Sequence[float]]]] = {}
    for pair in pairs:
        by_length.setdefault(len(pair[0]), []).append(pair)
    found: list[float] = []
    for length, own in by_length.items():
        if length < 3:
            found += [math.nan] * len(own)
            continue
        values = np.asarray(own, dtype=np.float64)  # (pairs, 2, length)
        ranks = rankdata(values, axis=2) - (length + 1) / 2  # all NaN where a value is
        spread = np.square(ranks).sum(axis=2).prod(axis=1)
        with np.errstate(invalid="ignore"):  # without spread a correlation is 0 / 0, NaN
            found += (ranks.prod(axis=1).sum(axis=1) / np.sqrt(spread)).tolist()
    return found
