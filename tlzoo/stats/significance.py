"""Paired tests that do not assume normality, and the correction of several p-values."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tlzoo.stats.comparison import PairedDifference
from tlzoo.stats.intervals import bootstrapped, finite, summary

__all__ = ["holm", "paired_bootstrap", "wilcoxon"]

_EXACT = 50
_EQUAL = 1e-12


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test (Wilcoxon, 1945), https://doi.org/10.2307/3001968.

    Pairs with a NaN and pairs without a difference are dropped, as in the original; equal differences share the mean of
    their ranks. Up to 50 pairs the p-value is exact, even with ties: it counts all 2^n signs of the ranks. Beyond that,
    it is the normal approximation with the variance corrected for ties, without continuity correction.

    Args:
        first: (n,) values of one method.
        second: (n,) values of another, on the same tasks or seeds.

    Returns:
        The p-value; NaN without any pair, 1 if no pair differs.

    Raises:
        ValueError: the lengths differ.

    >>> wilcoxon([0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.1, 0.1, 0.1, 0.1])
    0.0625
    """
    from scipy import stats

    difference = _differences(first, second)
    if not len(difference):
        return math.nan
    scale = float(np.abs(difference).max())
    # equal differences are equal only up to rounding
    rounded = np.round(difference / scale, 12) if scale else difference
    moved = rounded[rounded != 0]
    if not len(moved):
        return 1.0
    if len(moved) > _EXACT:
        return float(stats.wilcoxon(moved, method="asymptotic").pvalue)
    ranks = stats.rankdata(np.abs(moved))
    positive, total = float(ranks[moved > 0].sum()), float(ranks.sum())
    return min(1.0, 2 * _share_up_to(ranks, min(positive, total - positive)))


def _differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"pairs of shapes {a.shape} and {b.shape}; expected (n,) twice, in the same order")
    return finite(a - b)[0]


def _share_up_to(ranks: NDArray[np.float64], limit: float) -> float:
    """Return the share of all sign assignments whose positive ranks add up to at most ``limit``.

    SciPy's exact p-values do not cover ties, and its permutations are exact up to 13 pairs only; accuracies often tie.
    """
    doubled = np.rint(2 * ranks).astype(np.int64)  # integers, even if ties share the mean of their ranks
    share = np.zeros(int(doubled.sum()) + 1)
    share[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(share)
        moved[rank:] = share[: len(share) - rank]
        share = (share + moved) / 2
    return float(share[: round(2 * limit) + 1].sum())


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Return the mean of ``first - second`` with a percentile interval and the p-value of the same bootstrap.

    The p-value is two-sided. It shifts the differences to a mean of 0 and gives the share of resamples, counting the
    sample itself as one, whose mean is at least as far from 0 as the sample's (Efron and Tibshirani, 1993, 16.4).
    With few pairs, the interval is too short and the p-value too small, see :func:`tlzoo.stats.summary`.

    Args:
        first: (n,) values of one method.
        second: (n,) values of another, in the same order; pairs with a NaN are dropped.
        level: confidence level of the interval.
        resamples: number of resamples.
        seed: seed of the resamples.

    Raises:
        ValueError: the lengths differ, or ``level`` is not in (0, 1).

    >>> paired_bootstrap([0.9, 0.8, 0.7], [0.9, 0.8, 0.7]).p_value
    1.0
    """
    difference = _differences(first, second)
    found = summary(difference, level=level, method="bootstrap", resamples=resamples, seed=seed)
    if found.n < 2:
        return PairedDifference(difference=found, p_value=math.nan)
    # SciPy has no p-value of its bootstrap; these are the resamples of the interval
    drawn = bootstrapped([difference], np.mean, level=level, resamples=resamples, seed=seed).bootstrap_distribution
    shifted = drawn - found.mean
    # if all differences are equal, a resample differs from the sample by rounding only
    far = np.count_nonzero(np.abs(shifted) >= abs(found.mean) * (1 - _EQUAL))
    return PairedDifference(difference=found, p_value=(1 + int(far)) / (1 + resamples))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Return p-values corrected for multiple comparisons (Holm, 1979), https://www.jstor.org/stable/4615733.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)})

    If you reject whenever the corrected value is at most the level, the probability of any false rejection is at most
    the level. SciPy only corrects for the false discovery rate.

    Args:
        p_values: (m,); a NaN stays NaN and does not count.

    Raises:
        ValueError: they are not one-dimensional, or not in [0, 1].

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if raw.ndim != 1 or bool(((raw < 0) | (raw > 1)).any()):
        raise ValueError(f"p-values {raw.tolist()}; expected numbers between 0 and 1, shape (m,)")
    corrected = np.full(len(raw), np.nan)
    known = np.flatnonzero(~np.isnan(raw))
    order = known[np.argsort(raw[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * factors), 1.0) if len(order) else []
    return corrected
