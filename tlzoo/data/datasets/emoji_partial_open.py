"""Emoji adaptation between domains with different classes: partial and open-set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tlzoo.data.datasets.emoji_tasks import emoji_adaptation
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask

__all__ = ["emoji_open", "emoji_partial"]


def emoji_partial(name: str, *, classes: str, source: str, target: str) -> DomainTask:
    """Build ``emoji/CLASSES:S->T:partial``: the target only has the first half of the source's classes.

    Args:
        name: name of the task.
        classes: ``category`` or ``subcategory``.
        source: vendor with labels.
        target: vendor to adapt to.
    """
    task = emoji_adaptation(name, classes=classes, source=source, target=target)
    kept = task.num_classes // 2
    return replace(task, target_train=_below(task.target_train, kept), target_test=_below(task.target_test, kept))


def emoji_open(name: str, *, classes: str, source: str, target: str) -> DomainTask:
    """Build ``emoji/CLASSES:S->T:open``: the source has the first half of the classes, the target all of them.

    In the target, all other classes become the last class, ``unknown``, of which the source has no example.

    Args:
        name: name of the task.
        classes: ``category`` or ``subcategory``.
        source: vendor with labels.
        target: vendor to adapt to.
    """
    task = emoji_adaptation(name, classes=classes, source=source, target=target)
    known = task.num_classes // 2
    return replace(
        task,
        class_names=(*task.class_names[:known], "unknown"),
        unknown=known,
        source_train=_below(task.source_train, known),
        source_test=_below(task.source_test, known),
        target_train=_capped(task.target_train, known),
        target_test=_capped(task.target_test, known),
    )


def _below(examples: ExampleSet, limit: int) -> ExampleSet:
    assert examples.labels is not None
    return examples.subset(examples.labels < limit)


def _capped(examples: ExampleSet, highest: int) -> ExampleSet:
    assert examples.labels is not None
    return examples.with_labels(np.minimum(examples.labels, highest))
