"""Zero-shot learning on frozen features: fit on seen classes, choose by held-out ones, answer among the unseen.

What is chosen (settings, and gamma of generalized zero-shot learning) is chosen on the rehearsal: fitted on the seen
classes, tested on the held-out ones, which play unseen. Then the method is fitted on seen and held-out classes. Where
nothing is trained, as in text tasks, it is chosen on a labelled development set, and the receipt says that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.training import (
    CHECKPOINTS,
    as_array,
    optimizer_settings,
    plain,
    receipt,
    split_hash,
    train,
    tune,
)
from tlzoo.bench.protocols.zeroshot_answers import Answers
from tlzoo.data import load_task
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.lit import ZeroShot, ZeroShotData
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.registry import method_class
from tlzoo.types import Need, Sees

__all__ = ["load", "run"]

_DEPENDENCE_ITEMS = 64
_RATES = tuple(field.name for field in fields(OptimizerSettings))
_PROMPTS = ("templates", "wordings")


def load(cell: Cell, task: ZeroShotTask) -> ZeroShotData:
    """Return the data of a cell: frozen features, encoded descriptions; a development set where it has a use."""
    return _described(cell, task if cell.candidates else replace(task, development=None), features=cell.backbone)


def _described(cell: Cell, task: ZeroShotTask, *, features: str | None = None) -> ZeroShotData:
    return ZeroShotData(
        task,
        features=features,
        descriptions=cell.module.get("descriptions", "sentence:minilm"),
        templates=cell.module.get("templates", ("{}",)),
        wordings=cell.module.get("wordings", ("description",)),
        **_batches(cell),
    )


def _batches(cell: Cell) -> dict[str, Any]:
    steps = int(cell.budget.get("steps", CHECKPOINTS))
    return {
        "batch_size": int(cell.budget.get("batch_size", 256)),
        "seed": cell.seed,
        "steps_per_epoch": max(steps // CHECKPOINTS, 1),
    }


def run(cell: Cell, report: Report) -> Outcome:
    """Fit and answer; candidates are chosen on the rehearsal by top-1, or (generalized) by AUSUC."""
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, ZeroShotTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected a zero-shot task")
    data = load(cell, task)
    generalized = task.test_seen is not None
    figure = "ausuc" if generalized else "accuracy"

    def rehearsed(settings: dict[str, Any]) -> Answers:
        given = _prompted(cell, data, settings)
        rehearsal = ZeroShotData(_rehearsal(given.task), **_batches(cell))
        return _answers(_fitted(cell, rehearsal, settings, report), rehearsal)

    settings, note = tune(cell, lambda settings: rehearsed(settings).metrics()[figure])
    data = _prompted(cell, data, settings)
    if generalized and task.validation is not None:
        note["gamma"] = rehearsed(settings).curve().best_gamma()
    if task.validation is not None:
        data = ZeroShotData(data.task.with_held_out_seen(), **_batches(cell))
        note["fitted"] = "on seen and held-out classes"
    shown = {Sees.VALIDATION_LABELS} if cell.candidates and task.train is None else frozenset()
    return _outcome(_fitted(cell, data, settings, report), data, note, shown)


def _rehearsal(task: ZeroShotTask) -> ZeroShotTask:
    """Return the task that settings are chosen on."""
    return task.on_development() if task.train is None else task.rehearsal()


def _prompted(cell: Cell, data: ZeroShotData, settings: Mapping[str, Any]) -> ZeroShotData:
    """Return the data, its classes described by the prompts that are among the settings."""
    prompts = {name: settings[name] for name in _PROMPTS if name in settings}
    if not prompts:
        return data
    if not data.prompts:
        raise ValueError(
            f"{data.task.name} has embeddings of its own; no prompts describe its classes, drop candidates"
        )
    chosen = replace(cell, module={**plain(cell.module), **prompts})
    return _described(chosen, replace(data.task, embeddings=None))


def _fitted(cell: Cell, data: ZeroShotData, settings: Mapping[str, Any], report: Report) -> ZeroShot:
    torch.manual_seed(cell.seed)  # whatever was tried before
    rates = {name: value for name, value in settings.items() if name in _RATES}
    elsewhere = (*rates, *_PROMPTS)
    reads = Need.TEXTS in method_class(cell.method).needs
    if reads and cell.backbone:
        raise ValueError(f"{cell.method} reads raw texts, and {cell.backbone} would encode them; give no backbone")
    module = ZeroShot(
        "identity",
        cell.method,
        num_classes=data.num_candidates,
        num_embedding=data.embeddings.shape[1],
        optimizer=optimizer_settings(cell) | rates,
        backbone_settings={"num_features": 1 if reads else data.num_features},  # a method that reads goes past it
        method_settings={name: value for name, value in settings.items() if name not in elsewhere},
    )
    if module.trained and "steps" not in cell.budget:
        raise ValueError(f"{cell.method} is trained step by step; give steps and batch_size in the budget")
    if Sees.SOURCE_INPUTS in module.method.sees:
        train(module, data, cell, steps=int(cell.budget["steps"]) if module.trained else -1, report=report)
    return module


def _answers(module: ZeroShot, data: ZeroShotData) -> Answers:
    embeddings, seen = data.candidates("test")
    module.bind(data.candidate_texts("test") if module.reads else embeddings, seen=seen)
    labels = data.asked("test").labels
    assert labels is not None
    return Answers(scores=_scores(module, data), labels=labels, seen=seen.numpy(), by_class=data.task.train is not None)


def _scores(module: ZeroShot, data: ZeroShotData) -> NDArray[Any]:
    with torch.no_grad():
        return as_array(torch.cat([module(batch.inputs) for batch in data.answers("test", module.method.sees)]))


def _outcome(module: ZeroShot, data: ZeroShotData, note: dict[str, Any], shown: Collection[Sees]) -> Outcome:
    answers = _answers(module, data)
    metrics = {f"test/{name}": value for name, value in answers.metrics().items()}
    if "gamma" in note:
        metrics |= {f"calibrated/{name}": value for name, value in answers.sides(note["gamma"]).items()}
    generalized = data.task.test_seen is not None
    if generalized:
        metrics["oracle/harmonic"] = float(answers.curve().harmonic.max())
    examples = data.asked("test")
    inputs = examples.batch(np.arange(min(_DEPENDENCE_ITEMS, len(examples)))).inputs
    inputs = np.array(inputs, dtype=object) if isinstance(inputs, list) else inputs
    with torch.no_grad():
        dependence = measure_dependence(module, inputs)
    spread, figures = _spread(module, data)
    scores = answers.scores
    kept = {"test_logits": scores} if scores.shape[1] <= 100 else _top_scores(scores)
    return Outcome(
        metrics=metrics | spread,
        receipt=receipt(module.method, dependence, shown=shown, **note, **figures),
        predictions=kept,
        splits={name: split_hash(examples) for name in kept},
        series=answers.series() if generalized else {},
    )


def _spread(module: ZeroShot, data: ZeroShotData) -> tuple[dict[str, float], dict[str, Any]]:
    """Return how top-1 depends on the prompt, each used alone, and the figure of each.

    Of methods that nothing is fitted of: for the others each prompt would mean another fit.
    """
    if len(data.prompts) < 2 or module.reads or data.task.train is not None:
        return {}, {}
    figures = {}
    classes = data.task.candidates
    labels = data.asked("test").labels
    assert labels is not None
    for prompt, embeddings in data.prompts.items():
        module.bind(torch.from_numpy(embeddings[classes]), seen=torch.zeros(len(classes), dtype=torch.bool))
        figures[prompt] = float((_scores(module, data).argmax(axis=1) == labels).mean())
    values = np.array(list(figures.values()))
    spread = {
        "prompt/mean": float(values.mean()),
        "prompt/std": float(values.std(ddof=1)),
        "prompt/lowest": float(values.min()),
        "prompt/highest": float(values.max()),
    }
    return spread, {"prompts": figures}


def _top_scores(scores: NDArray[Any], count: int = 20) -> dict[str, NDArray[Any]]:
    """Return the best classes of each example and their scores, where all would be too many to store."""
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return {
        "test_top_classes": ranked.astype(np.int16),
        "test_top_scores": np.take_along_axis(scores, ranked, axis=1),
    }
