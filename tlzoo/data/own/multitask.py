"""Multitask tasks of a user's own data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.own.class_names import class_column, indices_of, with_class_names
from tlzoo.data.own.items import read_parts
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.data.tasks.multitask import Kind
from tlzoo.errors import InputError
from tlzoo.labels import as_column, target_labels
from tlzoo.spelling import nearest
from tlzoo.types import Modality

__all__ = ["multitask"]

_TEST, _VALIDATION = 0.2, 0.2
_MOST_CLASSES = 20


def multitask(
    X: Any,
    targets: Mapping[str, Any],
    *,
    test: tuple[Any, Mapping[str, Any]] | None = None,
    validation: tuple[Any, Mapping[str, Any]] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    class_names: Mapping[str, Sequence[Any]] | None = None,
    modality: Modality | None = None,
    size: int | None = None,
    name: str = "own",
) -> MultitaskTask:
    """Return a task of multitask learning on your own data.

    Args:
        X: the items, see :func:`tlzoo.tasks.domain`.
        targets: name -> labels, one for each item; some may be missing (None or NaN; of classes, negative numbers too).
            The kind of each follows from its labels: strings, booleans and categories are classes, and so are whole
            numbers from 0 to at most 20 of which all occur; ordered categories are ``ordinal``; other numbers are
            values, which networks learn in units of their spread; labels (N, H, W) are ``dense``, and those
            (N, 3, H, W) are ``normals``.
        test: ``(X, targets)``; None takes a fifth of the items, drawn once.
        validation: ``(X, targets)``, on which settings are chosen; None takes a fifth of the rest.
        kinds: target -> ``class``, ``value``, ``ordinal``, ``dense`` or ``normals``, where it should not follow.
        class_names: target -> names of its classes in order; by default those in the labels, sorted.
        modality: see :func:`tlzoo.tasks.domain`.
        size: see :func:`tlzoo.tasks.domain`.
        name: of the task.

    Raises:
        ValueError: a set lacks a target, or labels do not fit their kind; the message names target and row.

    >>> task = multitask(np.zeros((10, 3)), {"height": np.linspace(1, 2, 10), "species": ["fir", "oak"] * 5})
    >>> task.targets["height"].kind, task.targets["species"]
    ('value', Target(classes=2, names=('fir', 'oak')))
    """
    given = {"train": (X, targets), "test": test, "validation": validation}
    pairs = {key: _checked(pair, key, targets) for key, pair in given.items() if pair is not None}
    parts = read_parts({key: items for key, (items, _) in pairs.items()}, modality=modality, size=size)
    for mentioned in (kinds or {}, class_names or {}):
        if strange := [each for each in mentioned if each not in targets]:
            raise InputError(nearest(str(strange[0]), targets, kind="target"))
    found: dict[str, Target] = {}
    columns: dict[str, dict[str, NDArray[Any]]] = {key: {} for key in pairs}
    for target in targets:
        by_set = {key: labels[target] for key, (_, labels) in pairs.items()}
        sizes = {key: len(parts[key]) for key in pairs}
        order = (class_names or {}).get(target)
        found[target], read = _target(target, by_set, sizes, (kinds or {}).get(target), order)
        for key, column in read.items():
            columns[key][target] = column
    sets: dict[str, Any] = {
        key: replace(part.examples, labels=None, targets=columns[key]) for key, part in parts.items()
    }
    rest, sets["test"] = (sets["train"], sets["test"]) if test is not None else _split(sets["train"], _TEST)
    sets["train"], sets["validation"] = (
        (rest, sets["validation"]) if validation is not None else _split(rest, _VALIDATION)
    )
    return MultitaskTask(name=name, targets=found, **sets)


def _checked(pair: Any, key: str, targets: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], Mapping) or not len(pair[1]):
        raise InputError(f"{key}: expected X and a mapping of target -> labels")
    if lacking := [target for target in targets if target not in pair[1]]:
        raise InputError(f"{key} has no target {lacking[0]!r}; it has {', '.join(map(str, pair[1]))}")
    return pair


def _split(examples: ExampleSet, share: float) -> tuple[ExampleSet, ExampleSet]:
    kept, rest = random_split(len(examples), 1 - share)
    if not len(kept) or not len(rest):
        raise InputError(f"{len(examples)} items cannot be split; give test and validation")
    return examples.subset(kept), examples.subset(rest)


def _target(
    target: str, by_set: Mapping[str, Any], sizes: Mapping[str, int], kind: str | None, order: Sequence[Any] | None
) -> tuple[Target, dict[str, NDArray[Any]]]:
    """Return a target, and its labels in each set."""
    if kind not in (None, *get_args(Kind)):
        raise InputError(f"{target}: {nearest(str(kind), get_args(Kind), kind='kind of target')}")
    kind = kind or ("class" if order is not None else _kind(by_set["train"], target))
    if kind in ("class", "ordinal"):
        columns = {
            key: class_column(labels, size=sizes[key], what=f"{key}: {target}") for key, labels in by_set.items()
        }
        columns, classes = with_class_names(columns, order)
        named = any(not column.numeric for column in columns.values() if column.known) or not _is_range(classes)
        made = Target(classes=len(classes), kind=kind, names=classes if named or order is not None else ())  # type: ignore[arg-type]
        return made, {key: indices_of(column, classes) for key, column in columns.items()}
    arrays = {key: as_column(labels, what=f"{key}: {target}") for key, labels in by_set.items()}
    count = 0
    if kind == "dense" and not any(array.is_floating_point() for array in arrays.values()):
        count = 1 + max(int(array.max()) for array in arrays.values() if array.numel())
    units = _units(arrays["train"]) if kind == "value" else {}
    made = Target(classes=count, kind=kind, **units)  # type: ignore[arg-type]  # one of the kinds
    return made, {
        key: target_labels(array, kind=kind, classes=count, size=sizes[key], what=f"{key}: {target}").numpy()
        for key, array in arrays.items()
    }


def _units(values: Tensor) -> dict[str, float]:
    """Return center and spread of the values of a target, so that a network learns them in any unit."""
    known = values.double()[values.double().isfinite()]
    spread = float(known.std()) if len(known) > 1 else 0.0
    return {"center": float(known.mean()), "spread": spread or 1.0} if len(known) else {}


def _kind(labels: Any, target: str) -> Kind:
    """Return the kind that follows from the labels."""
    dtype = getattr(labels, "dtype", None)
    if getattr(dtype, "categories", None) is not None:
        return "ordinal" if dtype.ordered else "class"  # type: ignore[union-attr]  # a categorical of pandas
    array = np.asarray(labels) if not hasattr(labels, "detach") else as_column(labels, what=target).numpy()
    if array.ndim == 4:
        return "normals"
    if array.ndim == 3:
        return "dense"
    values = array.ravel().tolist()
    known = [each for each in values if each is not None and each == each]
    if not known:
        raise InputError(f"target {target!r} has no label")
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in known):
        return "class"
    missing = len(known) < len(values)
    whole = all(math.isfinite(each) and each == int(each) for each in known)
    # whole numbers beside missing ones became floats on the way
    counted = array.dtype.kind in "iu" or (whole and missing)
    return (
        "class" if whole and counted and _is_range(sorted({str(int(each)) for each in known if each >= 0})) else "value"
    )


def _is_range(names: Sequence[str]) -> bool:
    """Return whether class names are 0, 1, 2 ... up to at most twenty."""
    return len(names) <= _MOST_CLASSES and set(names) == {str(place) for place in range(len(names))}
