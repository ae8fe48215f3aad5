"""Ranks backbones for a task by the transferability of their frozen features, beside a ranking by size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlzoo.backbones import create_backbone
from tlzoo.data import load_task
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Task, ZeroShotTask
from tlzoo.errors import InputError
from tlzoo.lit.frozen_features import with_features
from tlzoo.selection import TRANSFERABILITY
from tlzoo.stats.comparison import average_ranks
from tlzoo.types import Backbone

__all__ = ["RankedBackbone", "labelled_examples", "rank_backbones"]


@dataclass(frozen=True, kw_only=True)
class RankedBackbone:
    """A backbone with the transferability of its frozen features to a task's labelled training examples.

    Attributes:
        name: name of the backbone.
        num_features: width of its features.
        parameters: number of its weights.
        scores: scores by name, see :data:`tlzoo.selection.TRANSFERABILITY`; higher is better. With several labelled
            targets, their mean.
        rank: mean rank over the scores; 1 is best.
        size_rank: rank by the number of weights, largest first; the baseline for any score.
    """

    name: str
    num_features: int
    parameters: int
    scores: dict[str, float]
    rank: float
    size_rank: float


def rank_backbones(
    task: str | Task,
    backbones: Sequence[str | Backbone],
    *,
    scores: Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> list[RankedBackbone]:
    """Rank backbones by the transferability of their frozen features to a task, best first.

    Nothing is trained. Scores only read the labels of training examples: the source of a domain task, the base classes
    of an episode task, the seen classes of a zero-shot task, or the class targets of a multitask task.

    Args:
        task: a name for :func:`tlzoo.load_task`, or a task.
        backbones: names for :func:`tlzoo.create_backbone`, or backbones.
        scores: names among :data:`tlzoo.selection.TRANSFERABILITY`; None for all of them.
        root: folder of a data set on disk.

    Raises:
        ValueError: there are fewer than two backbones, a score is unknown, or the task has no labelled training
            examples.
    """
    if len(backbones) < 2:
        raise InputError(f"{len(backbones)} backbones; a ranking needs at least two")
    names = list(TRANSFERABILITY if scores is None else scores)
    unknown = [name for name in names if name not in TRANSFERABILITY]
    if unknown or not names:
        raise InputError(f"unknown scores {unknown}; expected some of {', '.join(TRANSFERABILITY)}")
    loaded = load_task(task, root=root) if isinstance(task, str) else task
    networks = [create_backbone(backbone) for backbone in backbones]
    found = [_scores(loaded, network, names) for network in networks]
    table = np.array([[row[name] for name in names] for row in found])
    ranks = average_ranks(table.T)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    size_ranks = average_ranks(np.array([sizes], dtype=float))
    rows = [
        RankedBackbone(
            name=network.name,
            num_features=network.num_features,
            parameters=size,
            scores=row,
            rank=float(rank),
            size_rank=float(size_rank),
        )
        for network, size, row, rank, size_rank in zip(networks, sizes, found, ranks, size_ranks, strict=True)
    ]
    return sorted(rows, key=lambda row: row.rank)


def _scores(task: Task, network: Backbone, names: Sequence[str]) -> dict[str, float]:
    parts = list(labelled_examples(with_features(task, network)))
    return {name: float(np.mean([TRANSFERABILITY[name](*part) for part in parts])) for name in names}


def labelled_examples(task: Task) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Yield features (N, D) and labels (N,) of a task's labelled training examples, for each target of classes.

    Raises:
        ValueError: the task has none.
    """
    examples: ExampleSet | None = None
    columns = []
    if isinstance(task, MultitaskTask):
        examples = task.train
        columns = [examples.targets[name] for name, target in task.targets.items() if target.kind == "class"]
    elif isinstance(task, DomainTask | EpisodeTask | ZeroShotTask):
        kinds: dict[str, str] = {"domain": "source_train", "episode": "base", "zeroshot": "train"}
        examples = getattr(task, kinds[task.kind])
        columns = [] if examples is None or examples.labels is None else [examples.labels]
    if examples is None or not columns:
        raise InputError(f"{task.name} has no training examples with class labels to rank backbones by")
    features = np.asarray(examples.inputs[np.arange(len(examples))], dtype=np.float32)
    for labels in columns:
        kept = labels >= 0
        yield features[kept], labels[kept]
