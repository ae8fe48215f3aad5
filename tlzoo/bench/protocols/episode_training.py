"""Trains a network before the test episodes: on episodes of the base classes, or by classifying all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from tlzoo.backbones.extraction import extract
from tlzoo.bench.cell import Cell, Report
from tlzoo.bench.protocols.training import CHECKPOINTS, optimizer_settings, plain, train
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import EpisodeTask
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.lit.classical_oneshot import ClassicalOneShot
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.spelling import nearest
from tlzoo.types import Backbone, Sees

__all__ = ["SETTINGS", "STEPS", "Trained", "trained"]

_SHAPES = ("train_way", "train_shot", "train_query")

SETTINGS = ("training", *_SHAPES)
"""Settings of the training under ``module`` of a suite."""

STEPS = ("backbone_steps", "backbone_batch_size")
"""Settings under ``budget``: steps, and episodes or examples per step."""

_WAYS = ("episodic", "classical")

Validate = Callable[[OneShot, EpisodeData], float]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training.

    Attributes:
        module: classifies episodes of ``data``.
        data: features of the trained backbone; raw inputs for a meta-learner, which adapts the network itself.
        notes: for the receipt.
        curves: validation accuracy at the checkpoints.
    """

    module: OneShot
    data: EpisodeData
    notes: dict[str, Any]
    curves: dict[str, list[float]]


def trained(
    cell: Cell,
    task: EpisodeTask,
    settings: dict[str, Any],
    *,
    shape: dict[str, Any],
    validate: Validate,
    report: Report,
) -> Trained:
    """Train the cell's backbone from scratch, and keep the best checkpoint on validation episodes.

    Args:
        cell: its ``module.training`` is ``episodic``, which trains backbone and method on episodes of base classes, or
            ``classical``, which trains the backbone with a linear head over all base classes and drops the head.
        task: a task with raw inputs.
        settings: settings of the method.
        shape: shape of the test episodes, see :class:`EpisodeData`.
        validate: returns the accuracy of a module on validation classes, from features (raw inputs for meta-learners).
        report: gets the progress of the training.

    Raises:
        ValueError: the kind of training is unknown, or the budget has no ``backbone_steps``.
    """
    kind = cell.module["training"]
    if kind not in _WAYS:
        raise ValueError(nearest(str(kind), _WAYS, kind="training"))
    steps = int(cell.budget.get("backbone_steps", 0))
    if steps < 1:
        raise ValueError(
            f"training: {kind} needs backbone_steps in the budget, the number of training steps of the backbone"
        )
    raw = _data(cell, task, shape, steps)
    module = _module(cell, raw, settings, classical=kind == "classical")
    best = _Best(module, lambda: validate(*_answering(module, raw, "validation")))
    train(module, raw, cell, steps=steps, report=report, measure=best.measure)
    module.load_state_dict(best.state)
    answering, data = _answering(module, raw, "novel")
    notes = {"training": kind, "selection": f"best of {len(best.curves['step'])} checkpoints on validation episodes"}
    return Trained(module=answering, data=data, notes=notes, curves=best.curves)


def _data(cell: Cell, task: EpisodeTask, shape: dict[str, Any], steps: int) -> EpisodeData:
    training = {name: plain(cell.module[name]) for name in _SHAPES if name in cell.module}
    batch_size = int(cell.budget.get("backbone_batch_size", 4))
    given = {**shape, **training, "batch_size": batch_size, "steps_per_epoch": max(steps // CHECKPOINTS, 1)}
    return EpisodeData(task, seed=cell.seed, **given)


def _module(cell: Cell, data: EpisodeData, settings: dict[str, Any], *, classical: bool) -> OneShot:
    common: dict[str, Any] = {
        "optimizer": optimizer_settings(cell),
        "backbone_settings": plain(cell.module.get("backbone_settings", {})),
        "method_settings": settings,
    }
    if classical:
        return ClassicalOneShot(str(cell.backbone), cell.method, num_base_classes=data.num_base_classes, **common)
    return OneShot(str(cell.backbone), cell.method, way=data.way, **common)


class _Best:
    """Keeps the best state of a module over checkpoints; the first one if several are equal."""

    def __init__(self, module: OneShot, validate: Callable[[], float]) -> None:
        self.module, self.validate = module, validate
        self.state: dict[str, Tensor] = {}
        self.curves: dict[str, list[float]] = {"step": [], "validation": []}

    def measure(self, step: int) -> dict[str, float]:
        """Validate, keep the state if it is the best so far, and return the accuracy."""
        accuracy = self.validate()
        if not self.state or accuracy > max(self.curves["validation"]):
            self.state = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.curves["step"].append(float(step))
        self.curves["validation"].append(accuracy)
        return {"validation": accuracy}


def _answering(module: OneShot, raw: EpisodeData, split: str) -> tuple[OneShot, EpisodeData]:
    """Return the episode classifier of a split: the method on the backbone's features, or a meta-learner's network."""
    if not isinstance(module.method, EpisodeClassifier):
        return module.eval(), raw
    backbone, sets = module.backbone, raw.task.sets()
    wanted = [split, *(["base"] if Sees.SOURCE_INPUTS in module.method.sees else [])]
    encoded: dict[str, Any] = {name: _encoded(backbone, sets[name]) for name in wanted}
    features = EpisodeData(
        replace(raw.task, **encoded),
        **{name: getattr(raw, name) for name in ("way", "shot", "query", "dirichlet", "episodes", "seed")},
    )
    answering = OneShot("identity", module.method, backbone_settings={"num_features": backbone.num_features})
    return answering.eval(), features


def _encoded(backbone: Backbone, examples: ExampleSet) -> ExampleSet:
    """Return the set with features of the current backbone, without caching, because they are used once."""
    out = np.empty((len(examples), backbone.num_features), dtype=np.float32)
    extract(backbone, examples.inputs, out, batch_size=256, report=None)
    return examples.with_inputs(out)
