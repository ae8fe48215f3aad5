"""Joins data sets of several tasks into one set with missing targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.errors import InputError

__all__ = ["united"]


def united(sets: Mapping[str, ExampleSet]) -> ExampleSet:
    """Return all examples of several sets; a target that a set lacks is missing for its examples.

    NaN marks missing targets of every kind, because -1 may be a value. Batches of the result have examples of every set
    in proportion to its size. Inputs are read into memory.

    Args:
        sets: name -> examples of one modality and shape, with ``targets``; the attribute ``set`` keeps the name.

    Raises:
        ValueError: there is no set, the modalities differ, or the types of a target differ.

    >>> a = ExampleSet(inputs=np.zeros((2, 3)), modality="features", targets={"x": np.array([1, 2])})
    >>> b = ExampleSet(inputs=np.ones((1, 3)), modality="features", targets={"y": np.array([0.5])})
    >>> {name: column.tolist() for name, column in united({"a": a, "b": b}).targets.items()}
    {'x': [1.0, 2.0, nan], 'y': [nan, nan, 0.5]}
    """
    if len({examples.modality for examples in sets.values()}) != 1:
        kinds = ", ".join(f"{name} of {examples.modality}" for name, examples in sets.items()) or "no set"
        raise InputError(f"{kinds}; expected sets of one modality")
    names = list(dict.fromkeys(target for examples in sets.values() for target in examples.targets))
    whole = next(iter(sets.values()))
    return replace(
        whole,
        inputs=np.concatenate([examples.inputs[np.arange(len(examples))] for examples in sets.values()]),
        labels=None,
        domains=None,
        targets={name: _column(name, sets) for name in names},
        attributes={"set": np.repeat(list(sets), [len(examples) for examples in sets.values()])},
        checksum=content_hash([(name, examples.checksum) for name, examples in sets.items()]),
    )


def _column(name: str, sets: Mapping[str, ExampleSet]) -> NDArray[Any]:
    known = [examples.targets[name] for examples in sets.values() if name in examples.targets]
    shapes = {(column.dtype.kind == "f", column.shape[1:]) for column in known}
    if len(shapes) > 1:
        several = " and ".join(sorted({f"{column.dtype} {column.shape[1:]}" for column in known}))
        raise InputError(f"target {name!r} is of several types and shapes, {several}; expected one")
    ((are_values, shape),) = shapes
    wide = known[0].dtype if are_values else np.dtype(np.float64)
    parts = [
        examples.targets.get(name, np.full((len(examples), *shape), np.nan, dtype=wide)) for examples in sets.values()
    ]
    return np.concatenate(parts)
