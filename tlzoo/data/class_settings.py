"""Domains that do not share their classes: partial, open-set and universal variants of a domain task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask

__all__ = ["opened", "partial", "universal"]

_UNKNOWN = "unknown"


def partial(task: DomainTask, classes: Collection[int]) -> DomainTask:
    """Return the task whose target has only examples of ``classes``; the source keeps all."""
    return replace(task, target_train=_only(task.target_train, classes), target_test=_only(task.target_test, classes))


def opened(task: DomainTask, known: Sequence[int]) -> DomainTask:
    """Return the task whose source has only examples of the ``known`` classes, the new classes 0, 1, ...

    In the target, all others become the last class, ``unknown``, of which the source has no example.
    """
    places = np.full(task.num_classes, len(known), dtype=np.int64)
    places[list(known)] = np.arange(len(known))

    def renamed(examples: ExampleSet) -> ExampleSet:
        assert examples.labels is not None
        return examples.with_labels(places[examples.labels])

    return replace(
        task,
        class_names=(*(task.class_names[label] for label in known), _UNKNOWN),
        unknown=len(known),
        source_train=renamed(_only(task.source_train, known)),
        source_test=renamed(_only(task.source_test, known)),
        target_train=renamed(task.target_train),
        target_test=renamed(task.target_test),
    )


def universal(task: DomainTask, shared: Collection[int], private: Collection[int]) -> DomainTask:
    """Return the task whose source has ``shared`` and ``private`` classes, its target the shared and all others.

    These others are the last class, ``unknown``, of which the source has no example. Source: You et al., CVPR 2019.
    """
    kept = sorted({*range(task.num_classes)} - {*private})
    return opened(partial(task, kept), sorted({*shared, *private}))


def _only(examples: ExampleSet, classes: Collection[int]) -> ExampleSet:
    assert examples.labels is not None
    return examples.subset(np.isin(examples.labels, list(classes)))
