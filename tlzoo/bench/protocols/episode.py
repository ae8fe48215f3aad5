"""One-shot and few-shot learning on frozen features: every method answers the same list of episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.training import as_array, optimizer_settings, receipt, train, tune
from tlzoo.data import load_task
from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.sets import ExampleSet, content_hash
from tlzoo.data.tasks import EpisodeTask
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.methods.base import EpisodeClassifier
from tlzoo.methods.episodes import EpisodeAnswers
from tlzoo.types import Episode, Sees

__all__ = ["load", "run"]

_STORED_SCORES = 2_000_000
_VALIDATION_EPISODES = 400
_SHAPE = ("way", "shot", "query", "episodes", "batch_size")


def load(cell: Cell, task: EpisodeTask) -> EpisodeData:
    """Return the data of a cell: frozen features."""
    shape: dict[str, Any] = {name: int(value) for name, value in cell.budget.items() if name in _SHAPE}
    dirichlet = cell.budget.get("dirichlet")
    return EpisodeData(task, features=cell.backbone, seed=cell.seed, dirichlet=dirichlet, **shape)


def run(cell: Cell, report: Report) -> Outcome:
    """Answer the frozen list of episodes; the interval is over episodes.

    With ``steps`` in the budget, what the method learns over episodes is trained on those of the base classes before.
    Settings among candidates are chosen by accuracy on episodes of the validation classes.
    """
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, EpisodeTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected an episode task")
    data = load(cell, task)

    def validated(settings: dict[str, Any]) -> float:
        module = _ready(cell, data, settings, lambda _: None)
        episodes = data.episode_list("validation")[:_VALIDATION_EPISODES]
        return float(_accuracies(_answers(module, data, "validation", episodes, lambda _: None), episodes).mean())

    settings, tuning = tune(cell, validated)
    module = _ready(cell, data, settings, lambda share: report(share / 2))
    frozen = data.episode_list()
    logits = _answers(module, data, "novel", frozen.episodes, report)
    with torch.no_grad():
        dependence = measure_dependence(*_by_query(module, data.task.novel, frozen))
    accuracies = _accuracies(logits, frozen.episodes)
    scores = as_array(logits)
    predictions = {"episode_accuracy": accuracies.astype(np.float32)}
    if scores.size <= _STORED_SCORES:
        predictions["query_logits"] = scores
    return Outcome(
        metrics={
            "test/accuracy": float(accuracies.mean()),
            "test/interval": float(1.96 * accuracies.std(ddof=1) / np.sqrt(len(accuracies))),
        },
        receipt=receipt(
            module.method,
            dependence,
            episodes=len(accuracies),
            episode_list=frozen.hash,
            interval="1.96 s / sqrt(n) over episodes",
            **tuning,
        ),
        predictions=predictions,
        splits={name: content_hash(data.task.novel.checksum, frozen.hash) for name in predictions},
    )


def _ready(cell: Cell, data: EpisodeData, settings: dict[str, Any], report: Report) -> OneShot:
    """Return the module, trained where the budget has steps, that has seen its base set."""
    module = OneShot(
        "identity",
        cell.method,
        way=data.way,
        optimizer=optimizer_settings(cell),
        backbone_settings={"num_features": data.num_features},
        method_settings=settings,
    )
    if steps := int(cell.budget.get("steps", 0)):
        train(module, data, steps=steps, report=report)
    module.eval()
    if Sees.SOURCE_INPUTS in module.method.sees:
        base = data.base_examples(module.method.sees, by=module.method_name)
        module.fit_base(base.inputs, base.labels)
    return module


def _features(examples: ExampleSet) -> Tensor:
    features: Tensor = examples.batch(np.arange(len(examples))).inputs
    return features


def _answers(
    module: OneShot,
    data: EpisodeData,
    split: Literal["validation", "novel"],
    episodes: EpisodeIndices,
    report: Report,
) -> Tensor:
    """Return the query logits (E, Q, way) of episodes of a split."""
    features = _features(getattr(data.task, split))
    if isinstance(module.method, EpisodeClassifier):
        return EpisodeAnswers(module.method, features)(episodes, way=data.way, report=report)
    with torch.no_grad():
        return torch.cat([module(episode) for episode in _batches(features, episodes, way=data.way)])


def _batches(features: Tensor, episodes: EpisodeIndices, *, way: int, size: int = 50) -> Iterator[Episode]:
    for first in range(0, len(episodes.support), size):
        support, labels, query, _ = (torch.from_numpy(array[first : first + size].copy()) for array in episodes)
        yield Episode(
            support=features[support], support_labels=labels, query=features[query], query_labels=None, way=way
        )


def _accuracies(logits: Tensor, episodes: EpisodeIndices) -> Any:
    """Return the accuracy of each episode (E,), float64."""
    return (as_array(logits.argmax(dim=-1)) == episodes.query_labels).mean(axis=1)


def _by_query(module: OneShot, examples: ExampleSet, frozen: EpisodeList) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return the first episode's answers as a function of its queries, and the queries."""
    (first,) = _batches(_features(examples), frozen[:1], way=frozen.way)

    def answer(query: Tensor) -> Tensor:
        logits: Tensor = module(
            Episode(
                support=first.support,
                support_labels=first.support_labels,
                query=query.unsqueeze(0),
                query_labels=None,
                way=first.way,
            )
        )
        return logits[0]

    return answer, first.query[0]
