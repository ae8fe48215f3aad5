"""Values of a stored cell that its protocol did not write: cost and calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.store import Record, Store
from tlzoo.bench.stored_labels import Labels
from tlzoo.stats import expected_calibration_error, macro_f1, negative_log_likelihood

__all__ = ["Calibration", "Cost", "calibration", "cost", "labelled"]

_PROBABILISTIC = frozenset({"domain", "multitask", "finetuning"})
"""Kinds whose stored scores are logits of a trained softmax; similarities of other kinds are not probabilities."""

_MACHINE = ("processor", "cores", "platform")


@dataclass(frozen=True)
class Cost:
    """The cost of a cell; NaN if unknown."""

    steps: float
    time: float
    parameters: float


@dataclass(frozen=True)
class Calibration:
    """The calibration of a cell's probabilities; NaN if it has none, means if it has several tasks."""

    ece: float = math.nan
    nll: float = math.nan
    macro_f1: float = math.nan


def cost(record: Record, against: Record | None) -> Cost:
    """Return the cost of a cell.

    Args:
        record: record of the cell.
        against: record of the reference on the same task and seed; times of different machines are not compared.
    """
    trials = float(record.receipt.get("trials", 1))
    last = record.curves.get("step", [math.nan])[-1]
    parameters = record.receipt.get("parameters", record.metrics.get("trained_parameters", math.nan))
    return Cost(steps=trials * last, time=_ratio(record, against), parameters=float(parameters))


def _ratio(record: Record, against: Record | None) -> float:
    if against is None or any(record.provenance.get(k) != against.provenance.get(k) for k in _MACHINE):
        return math.nan
    seconds, reference = record.provenance.get("seconds"), against.provenance.get("seconds")
    return float(seconds) / float(reference) if seconds and reference else math.nan


def calibration(record: Record, store: Store, labels: Labels, missing: set[str]) -> Calibration:
    """Return the calibration of a cell's test logits.

    Args:
        record: record of the cell.
        store: the store with its logits.
        labels: the labels of its task.
        missing: collects why labels are missing; a report continues without them.
    """
    if record.cell.kind not in _PROBABILISTIC:
        return Calibration()
    pairs = [pair for _, *pair in labelled(record, store, labels, missing)] if record.splits else []
    if not pairs:
        return Calibration()
    figures = [
        [measure(*pair) for measure in (expected_calibration_error, negative_log_likelihood, macro_f1)]
        for pair in pairs
    ]
    return Calibration(*(float(value) for value in np.mean(figures, axis=0)))


def labelled(
    record: Record, store: Store, labels: Labels, missing: set[str]
) -> Iterator[tuple[str, NDArray[Any], NDArray[np.int64]]]:
    """Yield each prediction of a cell that is logits (N, C), with the labels (N,) of examples that have one.

    Args:
        record: the cell.
        store: the store that holds its logits.
        labels: the labels of its task.
        missing: the reasons why labels are missing are added here.
    """
    predictions = store.predictions(record.cell)
    for name, split in record.splits.items():
        logits = predictions.get(name)
        if logits is None or logits.ndim != 2 or f"{name}#classes" in predictions:
            continue  # no scores, or those of the best classes only
        try:
            found = labels.find(record.cell, name, split)
        except Exception as error:
            missing.add(f"{type(error).__name__}: {error}")
            continue
        if found is not None and len(found) == len(logits) and found.max(initial=-1) < logits.shape[1]:
            known = found >= 0
            if known.any():
                yield name, logits[known], found[known]
