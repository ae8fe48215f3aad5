"""Accuracy over labelled examples a class: a monotone curve, and how many examples reach a given accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Form", "ShotCurve", "choose_form", "fit_shot_curves", "monotone"]

Form = Literal["isotonic", "power_law"]
Values = NDArray[np.float64]

_LEAST_ERROR, _ROUNDING = 1e-6, 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotCurve:
    """R curves over the same numbers of examples.

    Attributes:
        shots: (K,) numbers of labelled examples a class, increasing.
        form: ``isotonic`` (the closest monotone values, straight between them over the logarithm of the number) or
            ``power_law`` (error = a * shots ** -b).
        heights: (R, K) fitted accuracies at ``shots``, non-decreasing.
        law: (R, 2) log a and b of a power law; None of an isotonic curve.
    """

    shots: NDArray[np.int64]
    form: Form
    heights: Values
    law: Values | None = None

    def at(self, shots: Sequence[float] | Values) -> Values:
        """Return the accuracies (R, M) at M numbers of examples inside the curve.

        Raises:
            ValueError: a number lies outside, where nothing was measured.
        """
        wanted = np.asarray(shots, dtype=np.float64)
        if wanted.min() < self.shots[0] or wanted.max() > self.shots[-1]:
            raise ValueError(
                f"{wanted.min():g} to {wanted.max():g} examples on a curve from {self.shots[0]} to {self.shots[-1]}; "
                "it is not extrapolated"
            )
        if self.law is not None:
            return 1 - np.exp(self.law[:, :1] - self.law[:, 1:] * np.log(wanted))
        known, places = np.log(self.shots), np.log(wanted)
        return np.stack([np.interp(places, known, row) for row in self.heights])

    def shots_at(self, accuracy: float | Values) -> Values:
        """Return the least number of examples (R,) at which each curve reaches an accuracy, one for all or (R,).

        It is -inf below the curve and inf above: the curve is never extrapolated.
        """
        wanted = np.broadcast_to(np.asarray(accuracy, dtype=np.float64), (len(self.heights),))
        if self.law is not None:
            slope = np.where(self.law[:, 1] > 0, self.law[:, 1], np.nan)
            inside = np.exp((self.law[:, 0] - np.log(np.maximum(1 - wanted, _LEAST_ERROR))) / slope)
        else:
            inside = self._interpolated(wanted)
        inside = np.clip(np.nan_to_num(inside, nan=float(self.shots[0])), self.shots[0], self.shots[-1])
        above, below = wanted > self.heights[:, -1], wanted < self.heights[:, 0]
        return np.where(above, np.inf, np.where(below, -np.inf, inside))

    def _interpolated(self, wanted: Values) -> Values:
        right = np.clip((self.heights < wanted[:, None] - _ROUNDING).sum(axis=1), 1, len(self.shots) - 1)
        rows, logs = np.arange(len(wanted)), np.log(self.shots)
        low, high = self.heights[rows, right - 1], self.heights[rows, right]
        share = np.divide(wanted - low, high - low, out=np.zeros_like(low), where=high > low).clip(0, 1)
        reached: Values = np.exp(logs[right - 1] + share * (logs[right] - logs[right - 1]))
        return reached


def fit_shot_curves(shots: Sequence[int] | NDArray[np.int64], accuracy: Values, form: Form) -> ShotCurve:
    """Fit R monotone curves to accuracies (R, K) at K >= 2 numbers of examples.

    Raises:
        ValueError: the numbers do not increase from at least 1, or the accuracies do not fit them.
    """
    numbers, found = np.asarray(shots, dtype=np.int64), np.asarray(accuracy, dtype=np.float64)
    if len(numbers) < 2 or numbers[0] < 1 or (np.diff(numbers) <= 0).any():
        raise ValueError(f"numbers of examples {numbers.tolist()}; expected two or more, increasing from 1 on")
    if found.ndim != 2 or found.shape[1] != len(numbers):
        raise ValueError(f"accuracies of shape {found.shape} at {len(numbers)} numbers of examples; expected (R, K)")
    if form == "isotonic":
        return ShotCurve(shots=numbers, form=form, heights=monotone(found))
    logs = np.log(numbers) - np.log(numbers).mean()
    errors = np.log(np.maximum(1 - found, _LEAST_ERROR))
    decay = np.maximum(-(errors @ logs) / (logs @ logs), 0)
    law = np.stack([errors.mean(axis=1) + decay * np.log(numbers).mean(), decay], axis=1)
    heights = 1 - np.exp(law[:, :1] - law[:, 1:] * np.log(numbers))
    return ShotCurve(shots=numbers, form=form, heights=heights, law=law)


def choose_form(shots: Sequence[int] | NDArray[np.int64], accuracy: Values) -> Form:
    """Return the form that predicts left-out points of a curve (K,) better, by squared error.

    Each inner point is left out in turn and predicted from the others. With fewer than four points it is isotonic.
    """
    numbers, found = np.asarray(shots, dtype=np.int64), np.asarray(accuracy, dtype=np.float64)
    if len(numbers) < 4:
        return "isotonic"
    errors: dict[Form, float] = {"isotonic": 0.0, "power_law": 0.0}
    for place in range(1, len(numbers) - 1):
        kept = np.arange(len(numbers)) != place
        for form in errors:
            curve = fit_shot_curves(numbers[kept], found[None, kept], form)
            errors[form] += float((curve.at([float(numbers[place])])[0, 0] - found[place]) ** 2)
    return min(errors, key=lambda form: errors[form])


def monotone(values: Values) -> Values:
    """Return the non-decreasing rows (R, K) that are closest to the given ones: isotonic regression.

    >>> monotone(np.array([[1.0, 3.0, 2.0, 4.0]])).tolist()
    [[1.0, 2.5, 2.5, 4.0]]
    """
    count = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    fitted = np.empty_like(values)
    for place in range(count):
        starts, ends = np.arange(place + 1), np.arange(place, count)
        means = (sums[:, None, ends + 1] - sums[:, starts, None]) / (ends[None, :] + 1 - starts[:, None])
        fitted[:, place] = means.min(axis=2).max(axis=1)  # the largest over beginnings of the least over ends
    return fitted
