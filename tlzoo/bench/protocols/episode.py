"""One-shot and few-shot learning: every method answers the same list of episodes, on features of one backbone.

The backbone is frozen as it comes, or trained from scratch on the base classes before (``module: {training: ...}``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tlzoo.backbones import create_backbone
from tlzoo.backbones.sentence import SentenceEncoder
from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.episode_training import trained
from tlzoo.bench.protocols.training import as_array, divided, optimizer_settings, plain, receipt, train, tune
from tlzoo.data import load_task
from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import EpisodeTask
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.lit.frozen_features import with_tokens
from tlzoo.methods.episode_answers import EpisodeAnswers
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Backbone, Episode, Sees

__all__ = ["load", "run"]

_STORED_SCORES = 2_000_000
_VALIDATION_EPISODES = 400
_SHAPE = ("way", "shot", "query", "episodes", "batch_size")


def load(cell: Cell, task: EpisodeTask) -> EpisodeData:
    """Return the data of a cell: frozen features, or raw inputs where the backbone is to be trained."""
    features = None if "training" in cell.module else _frozen_backbone(cell)
    return EpisodeData(task, features=features, seed=cell.seed, **_shape(cell))


def _frozen_backbone(cell: Cell) -> Backbone | str | None:
    settings = plain(cell.module.get("backbone_settings", {}))
    return create_backbone(str(cell.backbone), **settings) if settings else cell.backbone


def _shape(cell: Cell) -> dict[str, Any]:
    """Return how many of what: the settings of the data that the budget names."""
    return {
        name: int(value) if name in _SHAPE else value
        for name, value in cell.budget.items()
        if name in (*_SHAPE, "dirichlet")
    }


def run(cell: Cell, report: Report) -> Outcome:
    """Answer the frozen list of episodes; the interval is over episodes.

    With ``steps`` in the budget, what the method learns over episodes is trained on those of the base classes before.
    With ``training`` among the module's settings, the backbone is trained before, see
    :mod:`tlzoo.bench.protocols.episode_training`; then nothing is trained after. ``training: none`` is for methods that
    adapt the backbone itself, as it comes, to every episode.
    Settings among candidates, rates of the training too, are chosen by accuracy on episodes of the validation classes.
    """
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, EpisodeTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected an episode task")
    data = load(cell, task)

    tried: dict[str, _Ready] = {}

    def ready_with(settings: dict[str, Any], report: Report) -> _Ready:
        place = repr(sorted(settings.items()))
        if place not in tried:
            if cell.candidates:
                torch.manual_seed(cell.seed)  # whatever was tried before
            own, of_method = divided(cell, settings)
            tried[place] = _ready(own, data, of_method, report)
        return tried[place]

    settings, tuning = tune(cell, lambda settings: ready_with(settings, lambda _: None).validation)
    ready = ready_with(settings, lambda share: report(share / 2))
    module, data = ready.module, ready.data
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
            "test/error": float(1 - accuracies.mean()),
            "test/interval": float(1.96 * accuracies.std(ddof=1) / np.sqrt(len(accuracies))),
        },
        curves=ready.curves,
        receipt=receipt(
            module.method,
            dependence,
            shown=_shown(cell),
            episodes=len(accuracies),
            episode_list=frozen.hash,
            interval="1.96 s / sqrt(n) over episodes",
            **ready.notes,
            **tuning,
        ),
        predictions=predictions,
        splits={name: content_hash(data.task.novel.checksum, frozen.hash) for name in predictions},
    )


def _shown(cell: Cell) -> frozenset[Sees]:
    """Return what training and tuning show a method: labelled base classes, labels of the validation classes."""
    trains = bool(cell.budget.get("steps")) or cell.module.get("training", "none") != "none"
    shown = {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS} if trains else set()
    return frozenset(shown | ({Sees.VALIDATION_LABELS} if cell.candidates else set()))


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A module that has learned what it learns, with the data that it answers."""

    module: OneShot
    data: EpisodeData
    notes: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def validation(self) -> float:
        """Accuracy on episodes of the validation classes."""
        return max(self.curves["validation"]) if self.curves else _validated(self.module, self.data)


def _ready(cell: Cell, data: EpisodeData, settings: dict[str, Any], report: Report) -> _Ready:
    """Return the module, trained where the cell says so, that has seen its base set."""
    if "training" not in cell.module:
        return _Ready(module=_on_features(cell, data, settings, report), data=data)
    if cell.module["training"] == "none":
        return _as_it_comes(cell, data, settings)
    done = trained(cell, data.task, settings, shape=_shape(cell), validate=_validated, report=report)
    _show_base(done.module, done.data)
    return _Ready(module=done.module, data=done.data, notes=done.notes, curves=done.curves)


def _validated(module: OneShot, data: EpisodeData) -> float:
    """Return the accuracy of a module on episodes of the validation classes."""
    _show_base(module, data)
    episodes = data.episode_list("validation")[:_VALIDATION_EPISODES]
    return float(_accuracies(_answers(module, data, "validation", episodes, lambda _: None), episodes).mean())


def _show_base(module: OneShot, data: EpisodeData) -> None:
    if Sees.SOURCE_INPUTS in module.method.sees:
        base = data.base_examples(module.method.sees, by=module.method_name)
        module.fit_base(base.inputs, base.labels)


def _on_features(cell: Cell, data: EpisodeData, settings: dict[str, Any], report: Report) -> OneShot:
    """Return the module on frozen features; what the method itself learns is trained where the budget has steps."""
    module = OneShot(
        "identity",
        cell.method,
        way=data.way,
        optimizer=optimizer_settings(cell),
        backbone_settings={"num_features": data.num_features},
        method_settings=settings,
    )
    if steps := int(cell.budget.get("steps", 0)):
        train(module, data, cell, steps=steps, report=report)
    module.eval()
    _show_base(module, data)
    return module


def _as_it_comes(cell: Cell, data: EpisodeData, settings: dict[str, Any]) -> _Ready:
    """Return the module on raw inputs, whose method adapts the backbone; texts come as tokens.

    Raises:
        TypeError: a method on features.
    """
    backbone = create_backbone(str(cell.backbone), **plain(cell.module.get("backbone_settings", {})))
    module = OneShot(backbone.requires_grad_(True), cell.method, way=data.way, method_settings=settings).eval()
    if isinstance(module.method, EpisodeClassifier):
        raise TypeError(f"training: none adapts the backbone, {cell.method} takes its features; leave training out")
    if isinstance(backbone, SentenceEncoder):
        data = EpisodeData(with_tokens(data.task, backbone), seed=cell.seed, **_shape(cell))
    return _Ready(module=module, data=data, notes={"training": "none; the backbone adapts to every episode"})


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
