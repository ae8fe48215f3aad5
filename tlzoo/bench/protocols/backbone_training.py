"""Training a network before it answers episodes: on episodes of the base classes, or by classifying them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from tlzoo.backbones.extraction import extract
from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.fitting import fit, steps_per_epoch
from tlzoo.bench.protocols.augmentation import augmentation
from tlzoo.bench.protocols.networks import network_name, network_settings
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import Run
from tlzoo.bench.tuning import Settings, plain
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.lit.classical_oneshot import ClassicalOneShot
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.spelling import nearest
from tlzoo.types import Backbone, Sees

__all__ = ["check_training", "episode_data", "train_backbone"]

_COUNTS = ("way", "shot", "query", "episodes", "batch_size")
_IN_TRAINING = ("train_way", "train_shot", "train_query", "quarter_turns")
_WAYS = ("episodic", "classical")


def episode_data(cell: Cell, task: EpisodeTask, **further: Any) -> EpisodeData:
    """Return episodes of a task, of the shape and number in the cell's budget; ``further`` settings override these."""
    shape = {name: int(cell.budget[name]) for name in _COUNTS if name in cell.budget}
    return EpisodeData(task, seed=cell.seed, **{**shape, "dirichlet": cell.budget.get("dirichlet"), **further})


def check_training(cell: Cell) -> None:
    """Check that a cell whose training pictures are to be changed trains a backbone on them.

    Raises:
        ValueError: it does not.
    """
    given = [name for name in ("quarter_turns", "augment") if cell.module.get(name)]
    if given and cell.module.get("training") not in _WAYS:
        raise InputError(
            f"{given[0]} changes training pictures, and no backbone is trained; set training to episodic or "
            f"classical, or leave {given[0]} out"
        )


def train_backbone(
    cell: Cell,
    task: EpisodeTask,
    settings: Settings,
    *,
    validate: Callable[[OneShot, EpisodeData], float] | None,
    on_progress: OnProgress,
) -> Run[EpisodeData, OneShot]:
    """Train the cell's backbone from scratch, and keep the checkpoint that answers validation episodes best.

    Args:
        cell: ``module.training`` says how: ``episodic`` trains backbone and method on episodes of base classes,
            ``classical`` the backbone by a linear head over all of them, which is dropped then.
        task: of raw inputs.
        settings: of the method.
        validate: accuracy of a module that answers features (or raw inputs, for meta-learners) on validation classes;
            None if there are too few of them, so that the last checkpoint is kept.
        on_progress: called with the finished share of the training.

    Returns:
        The module that answers episodes, with its data: features of the trained backbone, or raw inputs for a
        meta-learner, which adapts the network itself. ``curves`` hold the validation accuracy at the checkpoints.

    Raises:
        ValueError: an unknown kind of training, or no ``backbone_steps`` in the budget.
    """
    kind = cell.module["training"]
    if kind not in _WAYS:
        raise InputError(nearest(str(kind), _WAYS, kind="training"))
    steps = int(cell.budget.get("backbone_steps", 0))
    if steps < 1:
        raise InputError(f"training: {kind} needs backbone_steps in the budget, the steps to train the backbone for")
    raw = episode_data(
        cell,
        task,
        **{name: plain(cell.module[name]) for name in _IN_TRAINING if name in cell.module},
        augment=augmentation(cell),
        batch_size=int(cell.budget.get("backbone_batch_size", 4)),
        steps_per_epoch=steps_per_epoch(steps),
    )
    module = _module(cell, raw, settings, classical=kind == "classical")
    best: dict[str, Tensor] = {}
    training = Run(cell=cell, data=raw, module=module)

    def measure(step: int) -> dict[str, float]:
        """Validate, and keep the state if it is better than all before."""
        if validate is None:
            return {}
        row = {"validation": validate(*_answering(cell, module, raw, "validation"))}
        if not best or row["validation"] > max(training.curves["validation"]):
            best.update({name: value.clone() for name, value in module.state_dict().items()})
        training.record(step, row)
        return row

    fit(module, raw, cell, steps=steps, on_progress=on_progress, measure=measure)
    selection = "the last step; too few classes or examples for validation episodes"
    if validate is not None:
        module.load_state_dict(best)
        selection = f"best of {len(training.curves['step'])} checkpoints on validation episodes"
    answering, features = _answering(cell, module, raw, "novel")
    notes = {"training": kind, "selection": selection}
    return Run(cell=cell, data=features, module=answering, notes=notes, curves=training.curves)


def _module(cell: Cell, data: EpisodeData, settings: Settings, *, classical: bool) -> OneShot:
    common: dict[str, Any] = {
        "optimizer": optimizer_settings(cell),
        "backbone_settings": network_settings(cell, data.task),
        "method_settings": settings,
    }
    if classical:
        return ClassicalOneShot(network_name(cell), cell.method, num_base_classes=data.num_base_classes, **common)
    return OneShot(network_name(cell), cell.method, way=data.way, **common)


def _answering(cell: Cell, module: OneShot, raw: EpisodeData, split: str) -> tuple[OneShot, EpisodeData]:
    """Return the classifier of a split: the method on the backbone's features, or a meta-learner's network."""
    if not isinstance(module.method, EpisodeClassifier):
        return module.eval(), raw
    backbone = module.backbone
    wanted = {split, *(["base"] if Sees.SOURCE_INPUTS in module.method.sees else [])}
    encoded: dict[str, Any] = {
        name: _encoded(backbone, examples) if name in wanted else _unasked(backbone, examples)
        for name, examples in raw.task.sets().items()
    }
    answering = OneShot("identity", module.method, backbone_settings={"num_features": backbone.num_features})
    return answering.eval(), episode_data(cell, replace(raw.task, **encoded))


def _encoded(backbone: Backbone, examples: ExampleSet) -> ExampleSet:
    """Return the set with features of the current backbone; they are used once and not cached."""
    out = np.empty((len(examples), backbone.num_features), dtype=np.float32)
    extract(backbone, examples.inputs, out, batch_size=256, on_progress=None)
    return examples.with_inputs(out)


def _unasked(backbone: Backbone, examples: ExampleSet) -> ExampleSet:
    """Return the set with NaN as inputs, in the width that all sets of a task share."""
    return examples.with_inputs(np.broadcast_to(np.float32(np.nan), (len(examples), backbone.num_features)))
