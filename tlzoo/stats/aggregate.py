"""One figure of many runs on many tasks, with its interval (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Estimate", "interquartile_mean", "iqm", "performance_profile", "probability_of_improvement"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with the percentile interval of a stratified bootstrap; arrays where there are several."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half of all values: the lowest and highest quarter, rounded down, are left out.

    Source: https://arxiv.org/abs/2108.13264.

    Raises:
        ValueError: no value, or one that is NaN.

    >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])
    1.5
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    if not len(ordered) or np.isnan(ordered[-1]):
        raise ValueError("interquartile mean of no value or of NaN; leave undefined runs out first")
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def iqm(scores: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the interquartile mean over all runs and tasks; runs are resampled within each task.

    Args:
        scores: (runs, tasks).
        level: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: ``scores`` is not two-dimensional, is empty or holds NaN.
    """
    table = _table(scores)
    return _bootstrapped(lambda t: np.array(interquartile_mean(t)), [table], level, resamples, seed)


def performance_profile(
    scores: ArrayLike, thresholds: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return the share of runs, over all tasks, whose score is above each threshold; the interval is pointwise.

    Args:
        scores: (runs, tasks).
        thresholds: (m,).
        level: of the interval.
        resamples: of the bootstrap, runs within each task.
        seed: of the bootstrap.

    Returns:
        (m,) shares.

    Raises:
        ValueError: see :func:`iqm`.

    >>> performance_profile([[0.2, 0.8], [0.4, 0.6]], [0.1, 0.5, 0.9]).value.tolist()
    [1.0, 0.5, 0.0]
    """
    marks = np.asarray(thresholds, dtype=np.float64)
    above = lambda table: (table[..., None] > marks).mean(axis=(0, 1))  # noqa: E731
    return _bootstrapped(above, [_table(scores)], level, resamples, seed)


def probability_of_improvement(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return how likely a run of one method beats a run of another on a task drawn at random; a tie counts half.

    P = mean over tasks of U / (R_1 R_2), U being the Mann-Whitney statistic. 0.5 says nothing of either.

    Args:
        first: (runs, tasks), higher is better.
        second: (runs, tasks), of the same tasks; the number of runs may differ.
        level: of the interval.
        resamples: of the bootstrap, runs of each method within each task.
        seed: of the bootstrap.

    Raises:
        ValueError: see :func:`iqm`, or the numbers of tasks differ.

    >>> float(probability_of_improvement([[0.9], [0.5]], [[0.5], [0.1]]).value)
    0.875
    """
    a, b = _table(first), _table(second)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"scores on {a.shape[1]} and {b.shape[1]} tasks; expected the same tasks in the same order")

    def probability(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        difference = one[:, None, :] - other[None, :, :]
        return np.asarray(((np.sign(difference) + 1) / 2).mean())

    return _bootstrapped(probability, [a, b], level, resamples, seed)


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"scores of shape {table.shape}; expected (runs, tasks), at least one of each")
    if np.isnan(table).any():
        raise ValueError("scores hold NaN; leave undefined runs or tasks out first")
    return table


def _bootstrapped(
    figure: Callable[..., NDArray[np.float64]],
    tables: list[NDArray[np.float64]],
    level: float,
    resamples: int,
    seed: int,
) -> Estimate:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a probability between 0 and 1, such as 0.95")
    random = np.random.default_rng(seed)
    drawn = np.stack([figure(*_resampled(tables, random)) for _ in range(resamples)])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Estimate(value=np.asarray(figure(*tables)), low=np.asarray(low), high=np.asarray(high))


def _resampled(tables: list[NDArray[np.float64]], random: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    for table in tables:
        rows = random.integers(0, len(table), table.shape)  # of every task its own runs
        yield np.take_along_axis(table, rows, axis=0)
