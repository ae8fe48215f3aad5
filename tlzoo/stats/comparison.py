"""Comparison of methods on the same tasks and seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tlzoo.stats.intervals import IntervalMethod, Summary, summary

__all__ = ["PairedDifference", "average_ranks", "paired_difference"]


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The difference between two methods, run by run.

    Attributes:
        difference: summary of first - second.
        p_value: two-sided p-value of the paired t-test; NaN with fewer than two pairs, 1 if all pairs are equal, 0 if
            all differ by the same amount.
    """

    difference: Summary
    p_value: float

    @property
    def tied(self) -> bool:
        """Whether the interval contains 0 or, without an interval, the difference is 0."""
        d = self.difference
        if math.isnan(d.low):
            return d.n == 0 or d.mean == 0
        return d.low <= 0 <= d.high


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, method: IntervalMethod = "t"
) -> PairedDifference:
    """Return the summary of ``first - second`` and the paired t-test's p-value.

    Args:
        first: (n,) values of one method.
        second: (n,) values of another, on the same tasks and seeds in the same order; pairs with a NaN are dropped.
        level: confidence level of the interval.
        method: ``"t"`` or ``"bootstrap"``, see :func:`tlzoo.stats.summary`.

    Raises:
        ValueError: the lengths differ.

    >>> result = paired_difference([0.9, 0.8, 0.85], [0.7, 0.7, 0.7])
    >>> round(result.difference.mean, 3), result.tied
    (0.15, False)
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"pairs of shapes {a.shape} and {b.shape}; expected (n,) twice, in the same order")
    difference = summary(a - b, level=level, method=method)
    return PairedDifference(difference=difference, p_value=_t_test(difference))


def _t_test(difference: Summary) -> float:
    from scipy.special import stdtr

    if difference.n < 2:
        return math.nan
    if difference.std <= 1e-12 * abs(difference.mean):  # equal but for rounding
        return 1.0 if difference.mean == 0 else 0.0
    t = abs(difference.mean) / (difference.std / math.sqrt(difference.n))
    return float(2 * stdtr(difference.n - 1, -t))


def average_ranks(
    scores: ArrayLike, *, better: Literal["higher", "lower"] = "higher", missing: Literal["worst", "drop"] = "worst"
) -> NDArray[np.float64]:
    """Return the mean rank of each method over tasks; 1 is best, and equal scores share the mean of their ranks.

    Args:
        scores: (tasks, methods).
        better: whether higher or lower scores are better.
        missing: ``"worst"`` ranks a NaN last (several share the last ranks); ``"drop"`` leaves out its task.

    Returns:
        (methods,) ranks; NaN if no task is left.

    Raises:
        ValueError: ``scores`` is not two-dimensional.

    >>> average_ranks([[0.9, 0.9, 0.5], [0.8, 0.7, 0.6]]).tolist()
    [1.25, 1.75, 3.0]
    """
    from scipy.stats import rankdata

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"scores of shape {table.shape}; expected (tasks, methods)")
    cost = -table if better == "higher" else table
    cost = cost[~np.isnan(cost).any(axis=1)] if missing == "drop" else np.where(np.isnan(cost), np.inf, cost)
    if len(cost) == 0:
        return np.full(table.shape[1], np.nan)
    mean: NDArray[np.float64] = rankdata(cost, axis=1).mean(axis=0)
    return mean
