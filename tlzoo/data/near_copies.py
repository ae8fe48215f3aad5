"""Pictures and texts that differ in little, and how they are kept on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["are_copies", "joined_groups", "near_copies", "shared_words"]

_LINK = re.compile(r"https?://\S+")
_CELLS = 12
_BLOCK = 1024

Pairs = NDArray[np.int64]


def near_copies(pictures: NDArray[np.uint8], *, limit: float) -> Pairs:
    """Return the pairs (P, 2) of pictures (N, H, W, C) whose root mean square difference is below ``limit``.

    Pixels count from 0 to 1. Differences are summed in integers, so that the pairs are the same everywhere. The means
    of 12 x 12 cells, which differ no more than the pictures do, rule most pairs out.

    >>> near_copies(np.array([0, 10, 255], np.uint8)[:, None, None, None].repeat(12, 1).repeat(12, 2), limit=0.1)
    array([[0, 1]])
    """
    height, width = (side // _CELLS for side in pictures.shape[1:3])
    cells = pictures[:, : height * _CELLS, : width * _CELLS].reshape(
        len(pictures), _CELLS, height, _CELLS, width, pictures.shape[3]
    )
    coarse = cells.mean(axis=(2, 4), dtype=np.float64).reshape(len(pictures), -1)
    lengths = np.square(coarse).sum(axis=1)
    share = height * width * _CELLS**2 / np.prod(pictures.shape[1:3])
    farthest = np.square(255 * limit) * coarse.shape[1] / share + 1
    found = []
    for first in range(0, len(pictures), _BLOCK):
        rows = coarse[first : first + _BLOCK]
        apart = lengths[first : first + _BLOCK, None] + lengths - 2 * rows @ coarse.T
        near = np.argwhere(apart < farthest) + np.array([first, 0])
        found.append(near[near[:, 0] < near[:, 1]])
    candidates = np.concatenate(found)
    return candidates[[_sum_of_squares(pictures[i], pictures[j]) < _most(pictures, limit) for i, j in candidates]]


def joined_groups(groups: NDArray[Any], pairs: Pairs) -> NDArray[Any]:
    """Return the groups (N,) of items, those that a pair (P, 2) of items connects joined under the least name.

    >>> joined_groups(np.array(["d", "b", "c", "a"]), np.array([[0, 1], [1, 2]])).tolist()
    ['b', 'b', 'b', 'a']
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys, numbers = np.unique(groups, return_inverse=True)
    ends = numbers[pairs]
    edges = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(keys), len(keys)))
    _, parts = connected_components(edges, directed=False)
    _, firsts = np.unique(parts, return_index=True)  # keys are sorted: the first of a part is its least
    joined: NDArray[Any] = keys[firsts[parts]][numbers]
    return joined


def are_copies(texts: Iterable[str], others: Iterable[str]) -> NDArray[np.bool_]:
    """Return which texts (N,) stand among others, but for case, signs, spaces and links.

    >>> are_copies(["Good morning!", "Good night"], ["good  morning http://t.co/x"]).tolist()
    [True, False]
    """
    known = {bare for text in others if (bare := _bare(text))}
    return np.array([_bare(text) in known for text in texts], dtype=bool)


def shared_words(names: Iterable[str], others: Iterable[str]) -> NDArray[np.float64]:
    """Return for each name (N,) the largest share of words that it has in common with one of the others.

    The share is that of all words that either of the two has.

    >>> shared_words(["sun behind cloud", "whale"], ["sun behind rain cloud", "cat"]).tolist()
    [0.75, 0.0]
    """
    known = [frozenset(_bare(other).split()) for other in others]
    words = [frozenset(_bare(name).split()) for name in names]
    return np.array([max((len(own & other) / len(own | other) for other in known), default=0.0) for own in words])


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", " ", _LINK.sub(" ", text.lower())).strip()


def _most(pictures: NDArray[np.uint8], limit: float) -> float:
    return float(np.square(255 * limit) * np.prod(pictures.shape[1:]))


def _sum_of_squares(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.square(one.astype(np.int32) - other).sum(dtype=np.int64))
