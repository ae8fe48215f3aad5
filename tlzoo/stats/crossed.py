"""Intervals that cover runs and test examples together: both are samples, and every run answers the same examples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tlzoo.stats.comparison import PairedDifference
from tlzoo.stats.intervals import Summary, t_quantile

__all__ = ["by_cluster", "crossed_difference", "crossed_summary"]


def by_cluster(figures: ArrayLike, clusters: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return what each cluster of examples contributes, such that the mean over clusters is that over examples.

    A cluster counts by the examples that it has, and stands out by how they differ from the mean (the linearized ratio
    of survey sampling), so that unequal sizes alone vary nothing.

    Args:
        figures: (runs, examples), such as 1 for a right answer and 0 for a wrong one.
        clusters: (examples,) cluster of each, such as the concept that several pictures show; None for one each.

    Returns:
        (runs, clusters).

    Raises:
        ValueError: the shapes do not fit.

    >>> by_cluster([[1.0, 1.0, 0.0]], [7, 7, 8]).tolist()
    [[1.1111111111111112, 0.2222222222222222]]
    """
    table = np.asarray(figures, dtype=np.float64)
    if clusters is None:
        return _checked(table)
    keys = np.asarray(clusters)
    if keys.shape != _checked(table).shape[1:]:
        raise ValueError(f"clusters of shape {keys.shape} for figures {table.shape}; expected one per example")
    _, places = np.unique(keys, return_inverse=True)
    count = int(places.max()) + 1
    means = table.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(places, weights=row, minlength=count) for row in table - means])
    together: NDArray[np.float64] = means + sums * count / table.shape[1]
    return together


def crossed_summary(figures: ArrayLike, *, level: float = 0.95) -> Summary:
    r"""Return the mean of a table of runs and clusters of examples, with an interval over both.

    The mean varies because other runs would answer otherwise, and other examples would be asked. With the mean squares
    of runs, of clusters and of the rest of a two-way layout of S runs and K clusters, its variance is estimated by

    .. math:: (MS_S + MS_K - MS_R) / (S K)

    and the interval is Student's t with Satterthwaite's degrees of freedom. A single run, or runs that all say the same
    (a deterministic method), leave the examples. Source: Satterthwaite, Biometrics Bulletin 1946; Owen, Annals of
    Applied Statistics 2007, https://arxiv.org/abs/0710.4023, for the two-way sample.

    Args:
        figures: (runs, clusters), see :func:`by_cluster`.
        level: nominal coverage.

    Returns:
        A summary whose ``n`` and ``std`` are those of the runs and whose interval covers both.

    Raises:
        ValueError: the table is empty, not two-dimensional, or holds NaN.
    """
    table = _checked(np.asarray(figures, dtype=np.float64))
    runs = len(table)
    by_run, by_example, mean = table.mean(axis=1), table.mean(axis=0), float(table.mean())
    std = float(by_run.std(ddof=1)) if runs > 1 else math.nan
    variance, degrees = _variance(table, by_run, by_example, mean)
    half = t_quantile(level, degrees) * math.sqrt(variance) if degrees > 0 else math.nan
    return Summary(
        n=runs, dropped=0, mean=mean, std=std, low=mean - half, high=mean + half, level=level, method="crossed"
    )


def crossed_difference(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> PairedDifference:
    """Return the difference of two methods, paired by run and by cluster of examples.

    A method of one run, which is deterministic, is compared with every run of the other.

    Args:
        first: (runs, clusters) of one method.
        second: (runs, clusters) of the other, in the same order.
        level: nominal coverage.

    Raises:
        ValueError: the shapes do not fit, or see :func:`crossed_summary`.
    """
    a, b = (_checked(np.asarray(each, dtype=np.float64)) for each in (first, second))
    if a.shape[1] != b.shape[1] or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise ValueError(f"tables of shapes {a.shape} and {b.shape}; expected the same runs and clusters")
    apart = a - b
    found = crossed_summary(apart, level=level)
    variance, degrees = _variance(apart, apart.mean(axis=1), apart.mean(axis=0), found.mean)
    return PairedDifference(difference=found, p_value=_p_value(found.mean, variance, degrees))


def _p_value(mean: float, variance: float, degrees: float) -> float:
    from scipy.special import stdtr  # scipy.stats takes a second to import

    if degrees <= 0:
        return math.nan
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(degrees, -abs(mean) / math.sqrt(variance)))


def _variance(
    table: NDArray[np.float64], by_run: NDArray[np.float64], by_example: NDArray[np.float64], mean: float
) -> tuple[float, float]:
    """Return the variance of the mean and its degrees of freedom; 0 of the latter where nothing can be told."""
    runs, clusters = table.shape
    if runs > 1 and bool((table == table[0]).all()):
        runs, by_run = 1, by_run[:1]
    if runs < 2 or clusters < 2:
        values = by_example if runs < 2 else by_run
        count = len(values)
        return (float(values.var(ddof=1)) / count, count - 1.0) if count > 1 else (math.nan, 0.0)
    of_runs, of_clusters = clusters * float(by_run.var(ddof=1)), runs * float(by_example.var(ddof=1))
    rest = float(np.square(table - by_run[:, None] - by_example + mean).sum()) / ((runs - 1) * (clusters - 1))
    total = of_runs + of_clusters - rest
    if total <= max(of_runs, of_clusters):  # nothing but noise on one side: the other is all there is
        values, count = (of_runs, runs) if of_runs > of_clusters else (of_clusters, clusters)
        return values / (runs * clusters), count - 1.0
    parts = of_runs**2 / (runs - 1) + of_clusters**2 / (clusters - 1) + rest**2 / ((runs - 1) * (clusters - 1))
    return total / (runs * clusters), total**2 / parts


def _checked(table: NDArray[np.float64]) -> NDArray[np.float64]:
    if table.ndim != 2 or not table.size:
        raise ValueError(f"figures of shape {table.shape}; expected (runs, examples), at least one of each")
    if np.isnan(table).any():
        raise ValueError("figures hold NaN; leave out undefined runs first")
    return table
