"""A small plot of a network's features: two coordinates of a few examples of each domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet

__all__ = ["EMBEDDED_SEED", "embedding"]

EMBEDDED_SEED = 0
"""Only cells of this seed keep a plot, because seeds look alike and a store should stay small."""

_MOST = 80


def embedding(features: Mapping[str, NDArray[Any]], sets: Mapping[str, ExampleSet]) -> dict[str, NDArray[Any]]:
    """Return the first two principal components of the features of both domains, as arrays of one length.

    ``embedding`` (N, 2), ``embedding_side`` (N,), 0 for the source and 1 for the target, and ``embedding_class`` (N,).
    It keeps at most 80 examples per domain, evenly spread over its set, in about a kilobyte.

    Args:
        features: ``source`` and ``target`` -> (n, D); either may be missing.
        sets: the same names -> the labelled examples.
    """
    rows = {name: np.linspace(0, len(each) - 1, min(len(each), _MOST)).astype(int) for name, each in features.items()}
    chosen = np.concatenate([features[name][own] for name, own in rows.items()]).astype(np.float64)
    centered = chosen - chosen.mean(axis=0)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)
    flat = centered @ directions[:2].T
    signs = np.sign(flat[np.abs(flat).argmax(axis=0), np.arange(flat.shape[1])])  # the sign of a component is arbitrary
    labels = [np.asarray(sets[name].labels)[own] for name, own in rows.items()]
    sides = [np.full(len(own), int(name == "target"), dtype=np.int8) for name, own in rows.items()]
    return {
        "embedding": (flat * signs).astype(np.float32),
        "embedding_side": np.concatenate(sides),
        "embedding_class": np.concatenate(labels).astype(np.int16),
    }
