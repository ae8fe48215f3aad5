"""Measures whether predictions depend on the other items of a test, or on what was answered before.

A view can withhold labels from a method, but its use of statistics of the test only shows in the predictions: they
change when the test comes in another order, is split, or an item comes alone. Random draws of a method change them as
well, and have to be told from that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["TOLERANCE", "measure_dependence"]

TOLERANCE = 1e-3
"""Largest change, as a share of the spread of the scores, that rounding explains (other batch sizes change the order
of summation)."""

_ALONE = 12
_REPEATS = 6
_DEVIATIONS = 4.0
"""Of a method that draws: how far beyond what its draws explain a change must be, in deviations of a mean square."""


def measure_dependence(answer: Callable[[Any], Tensor], items: Any, *, seed: int = 0) -> dict[str, float]:
    """Return how much predictions change with the company of an item, as shares of the deviation of all scores.

    Items are answered as a whole twice, with the same random numbers, in another order, in two parts, and a few alone.
    If other random numbers change the answers, the method draws; the other orders are then judged by means of several
    answers, against what draws alone explain.

    Args:
        answer: maps items (N, ...) to scores (N, ...), in as large batches as it answers a test.
        items: a tensor, or anything with rows that an index array can select; the whole test.
        seed: seed of the permutation.

    Returns:
        The largest change of any score under ``again`` (the same items once more: a method that has learned from the
        first time), ``permuted`` (another order), ``split`` (two parts) and ``alone`` (a few items, one at a time).
        With random answers these are 0 where draws explain the change, and ``drawn`` says how much draws change.
    """
    state = torch.get_rng_state()

    def answered(rows: NDArray[np.int64], draw: int = 0) -> Tensor:
        torch.manual_seed(draw)
        return answer(items[rows]).detach().double().cpu()

    def in_parts(parts: list[NDArray[np.int64]], draw: int = 0) -> Tensor:
        """Return the scores of all items, in their order, answered part by part."""
        said = torch.cat([answered(part, draw) for part in parts])
        return said[torch.from_numpy(np.concatenate(parts)).argsort()]

    try:
        everything = np.arange(len(items))
        whole = answered(everything)
        spread = float(whole.std()) or 1.0

        def change(scores: Tensor, rows: NDArray[np.int64] = everything) -> float:
            return float((scores - whole[torch.from_numpy(rows)]).abs().max()) / spread

        again = change(answered(everything))
        order = np.random.default_rng(seed).permutation(len(items))
        parts = {"permuted": [order], "split": [part for part in np.array_split(everything, 2) if len(part)]}
        some = np.unique(np.linspace(0, len(items) - 1, _ALONE).astype(int))
        drawn = change(answered(everything, draw=1))
        if drawn > TOLERANCE and again <= TOLERANCE:
            base = torch.stack([answered(everything, draw) for draw in range(_REPEATS)])
            found = {
                name: _beyond_draws(base, torch.stack([in_parts(own, _REPEATS + draw) for draw in range(_REPEATS)]))
                for name, own in parts.items()
            }
            # every item by draws of its own: items that share them would all deviate alike
            singly = [
                torch.cat([answered(np.array([row]), 100 + place + len(some) * draw) for place, row in enumerate(some)])
                for draw in range(_REPEATS)
            ]
            found["alone"] = _beyond_draws(base[:, torch.from_numpy(some)], torch.stack(singly))
            return {"again": again, **{name: share / spread for name, share in found.items()}, "drawn": drawn}
        return {
            "again": again,
            **{name: change(in_parts(own)) for name, own in parts.items()},
            "alone": max(change(answered(np.array([row])), np.array([row])) for row in some),
        }
    finally:
        torch.set_rng_state(state)


def _beyond_draws(first: Tensor, second: Tensor) -> float:
    """Return the root mean square difference of the means of two sets of answers (R, N, ...), 0 if draws explain it.

    Over N items, a mean square of normal numbers deviates by sqrt(2 / N) of itself.
    """
    apart = (first.mean(dim=0) - second.mean(dim=0)).square().mean()
    explained = ((first.var(dim=0) + second.var(dim=0)) / len(first)).mean()
    most = explained * (1 + _DEVIATIONS * (2 / first.shape[1]) ** 0.5)
    return float(apart.sqrt()) if apart > most else 0.0
