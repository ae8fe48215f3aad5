"""Splits from a fixed seed, by item or by group, so that near-copies stay on the same side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_order", "group_split", "random_split", "stratified_split", "thinned"]

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


def group_order(groups: NDArray[Any], *, seed: int = 0) -> Indices:
    """Return the position (N,) of each item's group among the sorted, then permuted groups."""
    keys, numbers = np.unique(groups, return_inverse=True)
    places = np.empty(len(keys), dtype=np.int64)
    places[np.random.default_rng(seed).permutation(len(keys))] = np.arange(len(keys))
    return places[numbers]


def group_split(groups: NDArray[Any], *cuts: float, seed: int = 0) -> tuple[Indices, ...]:
    """Split items by whole groups, at given shares of the groups.

    Args:
        groups: (N,) group of each item.
        cuts: increasing shares to cut at; one cut gives two parts.
        seed: of the permutation of the groups.

    Returns:
        The sorted indices of each part.

    >>> [part.tolist() for part in group_split(np.array(["a", "b", "a", "c"]), 0.5)]
    [[0, 2, 3], [1]]
    """
    places = group_order(groups, seed=seed)
    count = int(places.max()) + 1
    edges = [round(cut * count) for cut in cuts]
    parts = np.searchsorted(edges, places, side="right")
    return tuple(np.flatnonzero(parts == part) for part in range(len(cuts) + 1))


def random_split(size: int, share: float, *, seed: int = 0) -> tuple[Indices, Indices]:
    """Split ``size`` items in two parts of sorted indices, the first with ``share`` of them."""
    order = np.random.default_rng(seed).permutation(size)
    cut = round(share * size)
    return np.sort(order[:cut]), np.sort(order[cut:])


def thinned(labels: Indices, keep: NDArray[np.float64], *, seed: int) -> Indices:
    """Return sorted indices that keep a share of each class, at least one item and none twice.

    Args:
        labels: (N,) classes.
        keep: (C,) shares in [0, 1].
        seed: of the choice within each class.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen.append(members[: max(1, round(keep[label] * len(members)))])
    return np.sort(np.concatenate(chosen))


def stratified_split(labels: Indices, share: float, *, seed: int = 0) -> tuple[Indices, Indices]:
    """Split items in two parts of sorted indices, the first with ``share`` of each class and one of it at least.

    Args:
        labels: (N,) classes; missing labels (-1) count as one.
        share: of the first part.
        seed: of the permutation.

    >>> [part.tolist() for part in stratified_split(np.array([0, 0, 0, 0, 1]), 0.5)]
    [[2, 3, 4], [0, 1]]
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    members = [order[labels[order] == label] for label in np.unique(labels)]
    cuts = [max(1, round(share * len(places))) for places in members]
    first = np.sort(np.concatenate([places[:cut] for places, cut in zip(members, cuts, strict=True)] or [order]))
    return first, np.setdiff1d(np.arange(len(labels)), first)
