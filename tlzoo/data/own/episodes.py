"""Episode tasks of a user's own data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.own.class_names import class_column, class_order, few, indices_of, places_of
from tlzoo.data.own.items import read_parts
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.labels import class_labels
from tlzoo.types import Modality

__all__ = ["episodes"]

_NOVEL, _VALIDATION = 0.2, 0.25
_QUERY = 15


def episodes(
    X: Any,
    y: Any = None,
    *,
    base: Sequence[Any] | None = None,
    validation: Sequence[Any] | None = None,
    novel: Sequence[Any] | None = None,
    way: int = 5,
    shot: int = 1,
    query: int | None = None,
    domains: Any = None,
    superclasses: Any = None,
    modality: Modality | None = None,
    size: int | None = None,
    name: str = "own",
) -> EpisodeTask:
    """Return a task of one-shot or few-shot learning on your own data: classes apart, episodes of the novel ones.

    Args:
        X: the items, see :func:`tlzoo.tasks.domain`.
        y: a class name or number for each; None where X is a data set of pairs.
        base: classes to train on; by default those that are neither validation nor novel.
        validation: classes to choose settings on; by default those that are neither base nor novel, or a quarter of
            them, drawn once, where neither is given. None are left where base and novel name all.
        novel: classes of the test; by default a fifth of all classes, drawn once, and ``way`` of them at least.
        way: classes of an episode.
        shot: labelled examples of each class.
        query: test examples of each class; by default 15, or what the smallest novel class has left.
        domains: (N,) domains, for episodes that take support and queries from different ones.
        superclasses: (N,) superclasses, for episodes whose classes share one.
        modality: see :func:`tlzoo.tasks.domain`.
        size: see :func:`tlzoo.tasks.domain`.
        name: of the task.

    Raises:
        ValueError: a label is missing, a class is unknown or of two kinds, or the novel classes do not have enough
            examples for an episode.

    >>> x, y = np.zeros((40, 3)), np.repeat(["a", "b", "c", "d"], 10)
    >>> task = episodes(x, y, base=["a", "b"], novel=["c", "d"], way=2)
    >>> len(task.base), task.class_names, task.query
    (20, ('a', 'b', 'c', 'd'), 9)
    """
    check_counts(way=way, shot=shot, **({} if query is None else {"query": query}))
    part = read_parts({"X": X if y is None else (X, y)}, modality=modality, size=size)["X"]
    if part.labels is None:
        raise InputError("y is missing; expected a class name or number for each item")
    column = class_column(part.labels, size=len(part), complete=True, what="y")
    classes = class_order([column])
    labels = indices_of(column, classes)
    split = _split(classes, base, validation, novel, way)
    whole = _with_attributes(part.examples.with_labels(labels), domains, superclasses)
    sets: dict[str, Any] = {kind: whole.subset(np.isin(labels, places)) for kind, places in split.items()}
    task = EpisodeTask(
        name=name,
        class_names=classes,
        cross_domain=domains is not None,
        within=None if superclasses is None else "superclass",
        way=way,
        shot=shot,
        query=query or _query(sets["novel"], shot),
        **sets,
    )
    task.episodes("novel", seed=0)  # checks that classes have enough examples
    return task


def _query(novel: ExampleSet, shot: int) -> int:
    assert novel.labels is not None
    counts = np.bincount(novel.labels)
    return max(1, min(_QUERY, int(counts[counts > 0].min(initial=_QUERY + shot)) - shot))


def _split(
    classes: tuple[str, ...],
    base: Sequence[Any] | None,
    validation: Sequence[Any] | None,
    novel: Sequence[Any] | None,
    way: int,
) -> dict[str, NDArray[np.int64]]:
    """Return the class indices of each kind."""
    given = {"base": base, "validation": validation, "novel": novel}
    found = {kind: places_of(classes, names, kind) for kind, names in given.items() if names is not None}
    kinds = list(found)
    for place, one in enumerate(kinds):
        for other in kinds[place + 1 :]:
            if len(both := np.intersect1d(found[one], found[other])):
                raise InputError(f"classes {few(classes[index] for index in both)} are both {one} and {other}")
    order = np.random.default_rng(0).permutation(len(classes))
    left = order[~np.isin(order, np.concatenate([*found.values(), np.empty(0, dtype=np.int64)]))]
    if "novel" not in found:
        count = min(len(left), max(way, round(_NOVEL * len(classes))))
        found["novel"], left = left[:count], left[count:]
    if "validation" not in found:
        count = len(left) if "base" in found else round(_VALIDATION * len(left))
        if count < way and "base" not in found:  # too few for one episode: enough, if the base keeps as many, or none
            count = way if len(left) >= 2 * way else 0
        found["validation"], left = left[:count], left[count:]
    found.setdefault("base", left)
    return {kind: np.sort(places) for kind, places in found.items()}


def _with_attributes(examples: ExampleSet, domains: Any, superclasses: Any) -> ExampleSet:
    if domains is not None:
        column = class_column(domains, size=len(examples), complete=True, what="domains")
        places = indices_of(column, class_order([column]))
        examples = replace(examples, domains=class_labels(places).numpy())
    if superclasses is not None:
        column = class_column(superclasses, size=len(examples), complete=True, what="superclasses")
        examples = replace(examples, attributes={"superclass": column.names.astype(str)})
    return examples
