"""The mean of a few runs, and how sure one can be of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IntervalMethod", "Summary", "bootstrapped", "finite", "mean_interval", "mean_of_known", "summary"]

IntervalMethod = Literal["t", "bootstrap"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A mean with its spread.

    Attributes:
        n: values that were used.
        dropped: values left out because they are NaN.
        mean: NaN where n is 0.
        std: sample standard deviation (n - 1); NaN where n < 2.
        low: lower end of the interval; NaN where n < 2.
        high: upper end.
        level: of the interval, 0.95 by default.
        method: ``"t"`` (Student) or ``"bootstrap"`` (percentile).
    """

    n: int
    dropped: int
    mean: float
    std: float
    low: float
    high: float
    level: float
    method: IntervalMethod

    @property
    def half_width(self) -> float:
        """Half the interval's length; NaN where there is none."""
        return (self.high - self.low) / 2

    @property
    def note(self) -> str:
        """What a reader should know of a degenerate case; empty where there is nothing."""
        notes = []
        if self.n == 0:
            notes.append("no value")
        if self.n == 1:
            notes.append("one run: no spread, no interval")
        if self.dropped:
            notes.append(f"{self.dropped} undefined left out")
        return "; ".join(notes)


def summary(
    values: ArrayLike,
    *,
    level: float = 0.95,
    method: IntervalMethod | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Summary:
    """Return mean, standard deviation and a confidence interval of the mean.

    Args:
        values: (n,) one figure a run; NaN is left out and counted.
        level: probability that the interval is meant to cover.
        method: ``"t"`` is exact for normal values at any n; ``"bootstrap"`` (percentile) assumes nothing but is far
            too short for few runs (of 5, a 95 % one covers 83 %). None takes ``"t"`` below 30 values.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: ``values`` is not one-dimensional, or ``level`` is not in (0, 1).

    >>> s = summary([1.0, 2.0, 3.0])
    >>> s.mean, s.std, round(s.low, 3), round(s.high, 3), s.method
    (2.0, 1.0, -0.484, 4.484, 't')
    """
    kept, dropped = finite(values)
    chosen = method or ("t" if len(kept) < 30 else "bootstrap")
    low, high = mean_interval(kept, level=level, method=chosen, resamples=resamples, seed=seed)
    return Summary(
        n=len(kept),
        dropped=dropped,
        mean=float(kept.mean()) if len(kept) else math.nan,
        std=float(kept.std(ddof=1)) if len(kept) > 1 else math.nan,
        low=low,
        high=high,
        level=level,
        method=chosen,
    )


def mean_of_known(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN; NaN where there is none.

    >>> mean_of_known([1.0, float("nan"), 2.0])
    1.5
    """
    known, _ = finite(list(values))
    return float(known.mean()) if len(known) else math.nan


def finite(values: ArrayLike) -> tuple[NDArray[np.float64], int]:
    """Return the values that are not NaN, and how many are.

    Raises:
        ValueError: ``values`` is not one-dimensional.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"values of shape {array.shape}; expected one figure a run, shape (n,)")
    known = ~np.isnan(array)
    return array[known], int(np.count_nonzero(~known))


def mean_interval(
    values: NDArray[np.float64], *, level: float, method: IntervalMethod, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of the mean of ``values`` (n,); NaN at both ends where n < 2."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a probability between 0 and 1, such as 0.95")
    if method not in ("t", "bootstrap"):
        raise ValueError(f"interval method is {method!r}; expected 't' or 'bootstrap'")
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    if method == "t":
        half = t_quantile(level, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
        return float(values.mean()) - half, float(values.mean()) + half
    found = bootstrapped([values], np.mean, level=level, resamples=resamples, seed=seed)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def bootstrapped(
    samples: Sequence[NDArray[np.float64]], statistic: Callable[..., Any], *, level: float, resamples: int, seed: int
) -> Any:
    """Return SciPy's percentile bootstrap of ``statistic(*samples, axis=-1)``; each sample is resampled on its own.

    Args:
        samples: each of shape (n,), with n at least 2.
        statistic: of samples (..., n); returns (...) or, with several figures, (m, ...).
        level: of the interval.
        resamples: number of resamples.
        seed: of the resamples.
    """
    from scipy.stats import bootstrap  # scipy.stats takes a second to import

    return bootstrap(
        samples,
        statistic,
        n_resamples=resamples,
        batch=1000,  # a batch at a time: resamples x n numbers can be many
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
        vectorized=True,
    )


def t_quantile(level: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t: 12.706 for 95 % and one degree of freedom."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(degrees, (1 + level) / 2))
