"""The test of a task answered from a few labelled examples alone: other supervision is measured against that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask, EpisodeTask, Task, ZeroShotTask
from tlzoo.errors import InputError
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["DRAWS", "MOST_SHOTS", "few_labels", "few_of", "names_of"]

MOST_SHOTS = 12
"""Labelled examples a class, at most."""

_QUERY = 1
"""Queries a class of validation episodes; the listed ones ask the whole test."""

DRAWS = 5
"""Number of draws, which are the episodes of one task."""


def few_of(name: str, task: Task) -> EpisodeTask:
    """Build ``TASK:few``: the test of a task, answered from labelled examples that the task does not show.

    Of a domain task these are target training examples; of a zero-shot task without training, its development set. The
    base and validation sets are the labelled source, so that no label of the test's domain is seen but those drawn; of
    a zero-shot task they are the development set.

    Raises:
        ValueError: the task has no such labels, or a class has none of them.
    """
    if isinstance(task, DomainTask):
        pool, test, base = task.target_train, task.target_test, task.source_train
    elif isinstance(task, ZeroShotTask) and task.development is not None:
        pool, test, base = task.development, task.test, task.development
    else:
        raise InputError(
            f"{name}: {task.name} is a task of kind {task.kind!r} without labelled examples beside its test; expected "
            "a domain task, or a zero-shot task with a development set"
        )
    return few_labels(name, pool, test, class_names=task.class_names, base=base, sources=task.sources)


def names_of(name: str, task: Task) -> ZeroShotTask:
    """Build ``TASK:names``: the test of a domain task of texts, answered from the names of its classes alone.

    Raises:
        ValueError: it is no domain task, or holds no texts.
    """
    if not isinstance(task, DomainTask) or task.target_test.modality != "text":
        raise InputError(f"{name}: {task.name} is no domain task of texts, whose classes names could describe alone")
    nothing = np.empty(0, dtype=np.int64)
    return ZeroShotTask(
        name=name,
        class_names=task.class_names,
        descriptions=task.class_names,
        sources=task.sources,
        seen=nothing,
        held_out=nothing,
        unseen=np.arange(task.num_classes),
        test=task.target_test,
    )


def few_labels(
    name: str,
    pool: ExampleSet,
    test: ExampleSet,
    *,
    class_names: tuple[str, ...],
    base: ExampleSet,
    way: int | None = None,
    sources: tuple[str, ...] = (),
) -> EpisodeTask:
    """Build a task of :data:`DRAWS` episodes, each with labelled examples of a pool, and the whole test as queries.

    The support of an episode has :data:`MOST_SHOTS` examples a class, or as many as every class has. ``shot`` takes
    fewer, the first of each class, so larger supports contain the smaller ones.

    Args:
        name: of the task.
        pool: (N,) labelled examples to draw from; unlabelled ones are never drawn.
        test: (M,) examples of the test, in the order of every query.
        class_names: of all classes, those of the test first.
        base: examples that classifiers may see beforehand and choose settings by; none of the test.
        way: number of classes of the test; None for all.
        sources: names of the sources of the data.

    Raises:
        ValueError: pool or test have no labels, or there is a class without an example in the pool.
    """
    if pool.labels is None or test.labels is None:
        raise InputError(f"{name}: {'the pool' if pool.labels is None else 'the test'} has no labels; give labels")
    way = way or len(class_names)
    counts = np.bincount(pool.labels[pool.labels >= 0], minlength=way)
    if not counts.all():
        lacking = class_names[int(counts.argmin())]
        raise InputError(f"{name}: no labelled example of {lacking!r} to draw from; every class needs one")
    shot = min(MOST_SHOTS, int(counts.min()))
    pool, test = _labelled(pool), _labelled(test)
    assert pool.labels is not None
    assert test.labels is not None
    supports = np.stack([_drawn(pool.labels, way, shot, draw) for draw in range(DRAWS)])
    episodes = EpisodeIndices(
        support=supports,
        support_labels=np.tile(np.arange(way).repeat(shot), (DRAWS, 1)),
        query=np.tile(len(pool) + np.arange(len(test)), (DRAWS, 1)),
        query_labels=np.tile(test.labels, (DRAWS, 1)),
    )
    return EpisodeTask(
        name=name,
        class_names=class_names,
        sources=sources,
        base=base,
        validation=base,
        novel=ExampleSet.pooled([pool, test]),
        way=way,
        shot=shot,
        query=_QUERY,
        listed=EpisodeList(episodes=episodes, way=way, shot=shot, query=_QUERY),
    )


def _labelled(examples: ExampleSet) -> ExampleSet:
    assert examples.labels is not None
    known = examples.labels >= 0
    return examples if known.all() else examples.subset(known)


def _drawn(labels: NDArray[np.int64], way: int, shot: int, draw: int) -> NDArray[np.int64]:
    """Return places (way * shot,) of a draw, class by class: those that ``DomainTask.with_target_shots`` takes, too."""
    order = numpy_generator(draw, Stream.TARGET_SHOTS).permutation(len(labels))
    return np.concatenate([order[labels[order] == label][:shot] for label in range(way)])
