"""Many methods on many tasks: Friedman's test, and which average ranks are too close to call (Demšar, 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tlzoo.stats.comparison import average_ranks

__all__ = ["Ranking", "friedman"]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Methods ranked over tasks.

    Attributes:
        ranks: average rank of each method; 1 is best.
        tasks: N, the number of tasks used, on which every method has a value.
        statistic: Friedman's chi-square, corrected for ties; NaN if it is undefined.
        p_value: p-value of the statistic, from chi-square with k - 1 degrees of freedom.
        critical_difference: between two average ranks, at ``level`` (Nemenyi); NaN if N is 0.
        cliques: groups of methods (positions), best first, whose ranks differ by no more than the critical difference;
            without groups inside other groups and without single methods.
        level: significance level of the critical difference, 0.05 by default.
    """

    ranks: tuple[float, ...]
    tasks: int
    statistic: float
    p_value: float
    critical_difference: float
    cliques: tuple[tuple[int, ...], ...]
    level: float

    def apart(self, one: int, other: int) -> bool:
        """Whether two methods differ: Friedman's test rejects, and their ranks are more than the critical apart."""
        return self.p_value <= self.level and abs(self.ranks[one] - self.ranks[other]) > self.critical_difference


def friedman(scores: ArrayLike, *, better: Literal["higher", "lower"] = "higher", level: float = 0.05) -> Ranking:
    r"""Rank methods over tasks (Demšar, JMLR 2006), https://www.jmlr.org/papers/v7/demsar06a.html.

    .. math::

        \chi^2 = \frac{12 N}{k (k + 1)} \left[ \sum_j R_j^2 - \frac{k (k + 1)^2}{4} \right], \qquad
        \mathrm{CD} = q \sqrt{\frac{k (k + 1)}{6 N}}

    for k methods with average ranks R on N tasks. The chi-square is corrected for ties; q is the quantile of the
    studentized range over the square root of 2. The chi-square is rough below ten tasks or five methods.

    Args:
        scores: (tasks, methods); a task without a value (NaN) for some method is left out.
        better: whether higher or lower scores are better; equal scores share the mean of their ranks.
        level: significance level of the critical difference.

    Raises:
        ValueError: ``scores`` is not two-dimensional, has fewer than two methods, or ``level`` is not in (0, 1).

    >>> found = friedman([[0.9, 0.5, 0.1]] * 10)
    >>> found.ranks, round(found.critical_difference, 2), found.cliques, found.apart(0, 2)
    ((1.0, 2.0, 3.0), 1.05, ((0, 1), (1, 2)), True)
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"scores of shape {table.shape}; expected (tasks, methods) of two methods or more")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a probability between 0 and 1, such as 0.05")
    table = table[~np.isnan(table).any(axis=1)]
    count, methods = table.shape
    ranks = average_ranks(table, better=better)
    statistic, p_value = _chi_square(table)
    difference = _quantile(level, methods) * math.sqrt(methods * (methods + 1) / (6 * count)) if count else math.nan
    return Ranking(
        ranks=tuple(map(float, ranks)),
        tasks=count,
        statistic=statistic,
        p_value=p_value,
        critical_difference=difference,
        cliques=cliques(ranks.tolist(), difference),
        level=level,
    )


def _chi_square(table: NDArray[np.float64]) -> tuple[float, float]:
    """Return Friedman's statistic and p-value; SciPy's function needs three methods or more."""
    from scipy.special import chdtrc
    from scipy.stats import rankdata

    methods = table.shape[1]
    # ranks around their middle need no term for ties: ties show in the spread of their row
    off = rankdata(table, axis=1) - (methods + 1) / 2
    spread = float((off**2).sum())
    if spread == 0:
        return math.nan, math.nan  # no task, or all methods equal on every one
    statistic = (methods - 1) * float((off.sum(axis=0) ** 2).sum()) / spread
    return statistic, float(chdtrc(methods - 1, statistic))


def _quantile(level: float, methods: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)


def cliques(ranks: Sequence[float], difference: float) -> tuple[tuple[int, ...], ...]:
    """Return the maximal groups of positions whose ranks lie within ``difference`` of each other, best first."""
    order = sorted(range(len(ranks)), key=lambda place: ranks[place])
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start
        while end < len(order) and ranks[order[end]] - ranks[order[start]] <= difference:
            end += 1
        if end > reached and end - start > 1:
            found.append(tuple(order[start:end]))
        reached = max(reached, end)
    return tuple(found)
