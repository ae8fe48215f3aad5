"""What label-free validators pick and how well they rank, from stored curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    picked = {name: test[int(np.argmax(curve))] for name, curve in _curves(record).items()}
    return {**picked, "last": test[-1], "oracle": max(test)}


def judged(records: Sequence[Record]) -> list[Judgement]:
    """Return a judgement of every recorded validator; methods without target inputs have none."""
    names = dict.fromkeys(name for record in records for name in _curves(record))
    return [_judgement(name, [record for record in records if name in _curves(record)]) for name in names]


def _judgement(name: str, records: Sequence[Record]) -> Judgement:
    within = [rank_correlation(_curves(record)[name], record.curves[_TEST]) for record in records]
    several = [
        record for record in records if len(record.curves[_TEST]) > 1
    ]  # with one checkpoint there is nothing to pick
    lost = [choices(record)["oracle"] - choices(record)[name] for record in several]
    places: dict[tuple[str, str | None, int], list[Record]] = {}
    for record in records:
        places.setdefault((record.cell.task, record.cell.backbone, record.cell.seed), []).append(record)
    across = [
        rank_correlation([_curves(record)[name][-1] for record in own], [record.curves[_TEST][-1] for record in own])
        for own in places.values()
    ]
    return Judgement(name, *map(mean_of_known, (within, across, lost)))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rank correlation; NaN with fewer than three points, or if a side is constant or has NaN.

    >>> rank_correlation([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
    0.5
    """
    if len(first) < 3 or np.isnan([*first, *second]).any():
        return math.nan
    if min(first) == max(first) or min(second) == max(second):
        return math.nan
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)
