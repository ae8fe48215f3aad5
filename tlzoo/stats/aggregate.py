"""One value for many runs on many tasks, with its interval (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tlzoo.stats.intervals import bootstrapped

__all__ = ["Estimate", "interquartile_mean", "iqm", "performance_profile", "probability_of_improvement"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with the percentile interval of a stratified bootstrap, or arrays of several."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half of all values; the lowest and highest quarters, rounded down, are left out.

    Source: https://arxiv.org/abs/2108.13264.

    Raises:
        ValueError: there is no value, or one is NaN.

    >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])
    1.5
    """
    from scipy.stats import trim_mean

    known = np.asarray(values, dtype=np.float64)
    if not known.size or np.isnan(known).any():
        raise ValueError("interquartile mean of no value or of NaN; leave out undefined runs first")
    return float(trim_mean(known, 0.25, axis=None))


def iqm(scores: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the interquartile mean over all runs and tasks; the bootstrap resamples runs within each task.

    Args:
        scores: (runs, tasks).
        level: confidence level of the interval.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.

    Raises:
        ValueError: ``scores`` is not two-dimensional, is empty or holds NaN.
    """
    from scipy.stats import trim_mean

    def middle(*columns: NDArray[np.float64], axis: int) -> Any:
        return trim_mean(np.concatenate(columns, axis=axis), 0.25, axis=axis)

    return _estimate(middle, [_table(scores)], level, resamples, seed)


def performance_profile(
    scores: ArrayLike, thresholds: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return the share of runs on all tasks that score above each threshold; the interval is pointwise.

    Args:
        scores: (runs, tasks).
        thresholds: (m,).
        level: confidence level of the interval.
        resamples: number of bootstrap resamples of the runs within each task.
        seed: seed of the bootstrap.

    Returns:
        (m,) shares.

    Raises:
        ValueError: see :func:`iqm`.

    >>> performance_profile([[0.2, 0.8], [0.4, 0.6]], [0.1, 0.5, 0.9]).value.tolist()
    [1.0, 0.5, 0.0]
    """
    marks = np.asarray(thresholds, dtype=np.float64)

    def shares(*columns: NDArray[np.float64], axis: int) -> Any:
        joint = np.concatenate(columns, axis=axis)
        return np.stack([(joint > mark).mean(axis=axis) for mark in marks])

    return _estimate(shares, [_table(scores)], level, resamples, seed)


def probability_of_improvement(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    r"""Return the probability that a run of one method beats a run of another on a random task; a tie counts half.

    .. math:: P = \frac{1}{T} \sum_{t=1}^{T} \frac{U_t}{R_1 R_2}

    with the Mann-Whitney statistic U of each task and the numbers of runs R. At 0.5 neither method is better.

    Args:
        first: (runs, tasks), higher is better.
        second: (runs, tasks) on the same tasks; the number of runs may differ.
        level: confidence level of the interval.
        resamples: number of bootstrap resamples of each method's runs within each task.
        seed: seed of the bootstrap.

    Raises:
        ValueError: see :func:`iqm`; or the numbers of tasks differ.

    >>> float(probability_of_improvement([[0.9], [0.5]], [[0.5], [0.1]]).value)
    0.875
    """
    a, b = _table(first), _table(second)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"scores on {a.shape[1]} and {b.shape[1]} tasks; expected the same tasks in the same order")

    def probability(*columns: NDArray[np.float64], axis: int) -> Any:
        # the runs of one method on each task, then the runs of the other
        tasks = zip(columns[: a.shape[1]], columns[a.shape[1] :], strict=True)
        wins = [np.sign(one[..., :, None] - other[..., None, :]).mean(axis=(axis - 1, axis)) for one, other in tasks]
        return (np.mean(wins, axis=0) + 1) / 2

    return _estimate(probability, [a, b], level, resamples, seed)


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"scores of shape {table.shape}; expected (runs, tasks), at least one of each")
    if np.isnan(table).any():
        raise ValueError("scores hold NaN; leave out undefined runs or tasks first")
    return table


def _estimate(
    figure: Callable[..., Any], tables: Sequence[NDArray[np.float64]], level: float, resamples: int, seed: int
) -> Estimate:
    """Return ``figure(*columns, axis=-1)`` with its interval; each column holds the runs of one method on one task."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a probability between 0 and 1, such as 0.95")
    columns = [column for table in tables for column in table.T]
    value = np.asarray(figure(*columns, axis=-1))
    if max(map(len, tables)) == 1:  # one run of each: every resample is the sample
        return Estimate(value=value, low=value, high=value)
    # SciPy asks for two runs or more; a single run, repeated, resamples to itself and counts as much
    columns = [np.repeat(column, 2) if len(column) == 1 else column for column in columns]
    interval = bootstrapped(columns, figure, level=level, resamples=resamples, seed=seed).confidence_interval
    return Estimate(value=value, low=np.asarray(interval.low), high=np.asarray(interval.high))
