"""One choice out of several validators: the average of their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError

__all__ = ["average_ranks"]


def average_ranks(scores: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Return the mean over validators of each model's rank (N,), from 1 for the best; the lowest is the choice.

    Scores of different validators have different units, and their ranks have one. Equal scores share the mean of their
    ranks; NaN is the worst.

    Args:
        scores: validator -> its score of each of N models or checkpoints, higher is better, such as the curves
            ``validation/NAME`` of a result.

    Raises:
        ValueError: there is no validator, or they scored different numbers of models.

    >>> average_ranks({"entropy": [-0.2, -0.9, -0.4], "snd": [3.0, 2.0, 4.0]}).tolist()
    [1.5, 3.0, 1.5]
    """
    from scipy.stats import rankdata  # here: few ask for it

    counts = {name: len(values) for name, values in scores.items()}
    if len(set(counts.values())) != 1:
        given = ", ".join(f"{name}: {count}" for name, count in counts.items()) or "no validator"
        raise InputError(f"{given}; expected one validator or more, with a score for each of the same models")
    table = np.array([list(values) for values in scores.values()], dtype=np.float64)
    ranks: NDArray[np.float64] = rankdata(np.where(np.isnan(table), np.inf, -table), axis=1)
    return np.asarray(ranks.mean(axis=0))
