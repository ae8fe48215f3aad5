"""Measures whether predictions depend on the other items of a test batch.

A task can withhold labels from a method, but its use of test batch statistics only shows in the predictions: they
change when the batch is permuted or split, or when an item comes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["TOLERANCE", "measure_dependence"]

TOLERANCE = 1e-3
"""Largest change, as a share of the spread of the scores, that rounding explains (other batch sizes change the order
of summation)."""

_ALONE = 8


def measure_dependence(answer: Callable[[Any], Tensor], items: Any, *, seed: int = 0) -> dict[str, float]:
    """Return how much predictions change with the batch, as shares of the standard deviation of all scores.

    Args:
        answer: maps items (N, ...) to scores (N, ...).
        items: a tensor, or anything with rows that an index array can select.
        seed: seed of the permutation.

    Returns:
        The largest change of any score under ``permuted`` (another order), ``split`` (two halves) and ``alone`` (a few
        items, one at a time).
    """
    whole = answer(items).detach()
    count = len(whole)
    order = np.random.default_rng(seed).permutation(count)
    spread = float(whole.double().std()) or 1.0

    def change(rows: Any, scores: Tensor) -> float:
        return float((scores.detach().double() - whole[torch.as_tensor(rows)].double()).abs().max()) / spread

    halves = [part for part in np.array_split(np.arange(count), 2) if len(part)]
    some = np.unique(np.linspace(0, count - 1, _ALONE).astype(int))
    return {
        "permuted": change(order, answer(items[order])),
        "split": max(change(part, answer(items[part])) for part in halves),
        "alone": max(change(np.array([row]), answer(items[np.array([row])])) for row in some),
    }
