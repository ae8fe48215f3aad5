"""Domain adaptation and confusion: train on the views, measure on target test data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.embedding import EMBEDDED_SEED, embedding
from tlzoo.bench.protocols.training import (
    CHECKPOINTS,
    as_array,
    divided,
    optimizer_settings,
    plain,
    receipt,
    split_hash,
    train,
    trained_parameters,
    tune,
)
from tlzoo.data import load_task
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData
from tlzoo.lit.domains import DomainModule
from tlzoo.lit.target import TargetModule
from tlzoo.methods.adapting import SourceFree, TestTime
from tlzoo.methods.base import Alignment
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.registry import method_class
from tlzoo.selection import SCORES, SOURCE_SCORES, health, scores
from tlzoo.types import Prediction, Sees

__all__ = [
    "DEPENDENCE_ITEMS",
    "accuracy",
    "domain_module",
    "load",
    "measured",
    "metrics_of",
    "open_set_scores",
    "run",
    "target_accuracies",
]

_MODULES: dict[str, type[DomainModule]] = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}
DEPENDENCE_ITEMS = 64


def load(cell: Cell, task: DomainTask) -> DomainData:
    """Return the data of a cell: frozen features where the suite says so, raw inputs otherwise."""
    steps, batch_size = int(cell.budget["steps"]), int(cell.budget["batch_size"])
    return DomainData(
        task,
        features=cell.backbone if cell.module.get("frozen") else None,
        scale=bool(cell.module.get("scale", False)),
        batch_size=batch_size,
        seed=cell.seed,
        steps_per_epoch=max(steps // CHECKPOINTS, 1),
    )


def domain_module(cell: Cell, data: DomainData, settings: dict[str, Any]) -> DomainModule:
    """Return the module of a cell, before training."""
    cell, settings = divided(cell, settings)
    frozen = cell.module.get("frozen")
    shape = {"num_features": data.num_features} if frozen else plain(cell.module.get("backbone_settings"))
    return _MODULES[cell.method.split("/")[0]](
        "identity" if frozen else str(cell.backbone),
        cell.method,
        num_classes=data.num_classes,
        bottleneck=cell.module.get("bottleneck"),
        batch_statistics=cell.module.get("batch_statistics", "joint"),
        optimizer=optimizer_settings(cell),
        backbone_settings=shape,
        method_settings=settings,
    )


def run(cell: Cell, report: Report) -> Outcome:
    """Train one network and measure it at ten checkpoints.

    Candidates are chosen at the last step by a label-free score on target training inputs, the information score where
    the suite names no other; those of a method that sees no target input by accuracy on held-out source data.

    Raises:
        TypeError: the task is no domain task.
        ValueError: the task has labelled target examples, and the method is no alignment of one loss.
    """
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, DomainTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected a domain task")
    cls = method_class(cell.method)
    if task.shots is not None and not issubclass(cls, (Alignment, FeatureTransform)):
        raise ValueError(
            f"{task.name} has labelled target examples, which {cell.method} does not learn from beside the source; "
            "take the task without its shots, or a method of one loss"
        )
    if issubclass(cls, TestTime):
        from tlzoo.bench.protocols.adapting import answer_stream  # here: it builds on this module

        return answer_stream(cell, task, report)
    if issubclass(cls, FeatureTransform):
        from tlzoo.bench.protocols.transforming import answer_aligned  # here: it builds on this module

        return answer_aligned(cell, task)
    data, build = _prepared(cell, task, report, source_free=issubclass(cls, SourceFree))
    runs: dict[str, _Run] = {}
    rule = cell.search.get("rule", "information")

    def evaluate(settings: dict[str, Any]) -> float:
        torch.manual_seed(cell.seed)
        runs[repr(settings)] = finished = _Run(cell, data, build(settings), report)
        return float(finished.curves.get(f"validation/{rule}", finished.curves["source"])[-1])

    settings, note = tune(cell, evaluate)
    if repr(settings) not in runs:
        runs[repr(settings)] = _Run(cell, data, build(settings), report)
    chosen = runs[repr(settings)]
    if note:
        note["rule"] = rule if f"validation/{rule}" in chosen.curves else "source"
    return chosen.outcome(note)


def _prepared(
    cell: Cell, task: DomainTask, report: Report, *, source_free: bool
) -> tuple[DomainData, Callable[[dict[str, Any]], TargetModule]]:
    """Return the data of a cell, and what makes its module from the method's settings."""
    if not source_free:
        data = load(cell, task)
        return data, lambda settings: domain_module(cell, data, settings)
    from tlzoo.bench.protocols import adapting  # here: it builds on this module

    source = adapting.source_model(cell, task, report)
    target = adapting.target_data(cell, task, source)

    def build(settings: dict[str, Any]) -> TargetModule:
        own, rest = divided(cell, settings)
        return adapting.source_free_module(own, target, source, rest, optimizer_settings(own))

    return target, build


class _Run:
    """One training with its measurements."""

    def __init__(self, cell: Cell, data: DomainData, module: TargetModule, report: Report) -> None:
        self.module, self.task, self.seed = module, data.task, cell.seed
        self.features: dict[str, NDArray[Any]] = {}
        self.curves: dict[str, list[float]] = {"step": []}
        self.data = data
        self.trainer = train(module, data, cell, steps=int(cell.budget["steps"]), report=report, measure=self._measure)

    def _measure(self, step: int) -> dict[str, float]:
        """Measure the network as it is."""
        module = self.module
        row, self.logits = measured(self.task, self.data.evaluated, module.method.sees, self._predict)
        logged = module.trainer.callback_metrics
        row.update(_of_training({name: float(value) for name, value in logged.items() if name.startswith("train/")}))
        for name, value in {"step": float(step), **row}.items():
            self.curves.setdefault(name, []).append(value)
        return row

    def _predict(self, examples: ExampleSet) -> Prediction:
        prediction = self.module.predict_all(self.data.passes(examples))
        pictured = {"source": self.data.evaluated.source_test, "target": self.data.evaluated.target_train}
        self.features |= {name: as_array(prediction.features) for name, own in pictured.items() if own is examples}
        return prediction

    def _picture(self) -> dict[str, NDArray[Any]]:
        if self.seed != EMBEDDED_SEED:
            return {}
        evaluated = self.data.evaluated
        return embedding(self.features, {"source": evaluated.source_test, "target": evaluated.target_train})

    def outcome(self, note: dict[str, Any]) -> Outcome:
        test = self.curves["test"]
        examples = self.data.evaluated.target_test
        inputs = examples.batch(np.arange(min(DEPENDENCE_ITEMS, len(examples)))).inputs
        with torch.no_grad():
            dependence = measure_dependence(self.module, inputs)
        return Outcome(
            metrics=metrics_of(self.task, examples, self.curves, self.logits),
            curves={name: values for name, values in self.curves.items() if len(values) == len(test)},
            receipt=receipt(
                self.module.method,
                dependence,
                selection="last step",
                parameters=trained_parameters(self.module),
                shown=() if self.task.shots is None else (Sees.TARGET_LABELS,),
                **({} if self.task.shots is None else {"shots": self.task.shots_per_class}),
                **note,
            ),
            predictions={"test_logits": as_array(self.logits), **self._picture()},
            splits={"test_logits": split_hash(examples)},
        )


def _of_training(logged: Mapping[str, float]) -> dict[str, float]:
    """Return what training logged last, with what of it tells how the method fares as ``health/``."""
    signs = {
        f"health/{sign}": value
        for sign in ("feature_gradient", "domain_accuracy")
        for name, value in logged.items()
        if name.rsplit("/", 1)[-1] == sign
    }
    return {**{name: value for name, value in logged.items() if not name.endswith("/feature_gradient")}, **signs}


def measured(
    task: DomainTask, evaluated: DomainTask, sees: Collection[Sees], predict: Callable[[ExampleSet], Prediction]
) -> tuple[dict[str, float], Tensor]:
    """Return accuracies, label-free scores and signs of health of a model as it is, and its logits on target test data.

    Labels of the target are read here, in the harness, and nowhere else.

    Args:
        task: whose metric counts.
        evaluated: the sets as the model takes them.
        sees: what the method declares: scores that look at more are left out.
        predict: what the model says of a set.
    """
    row: dict[str, float] = {}
    source: Prediction | None = None
    source_features: Tensor | None = None
    logits = torch.empty(0)
    for name, column in _COLUMNS.items():
        examples: ExampleSet = getattr(evaluated, name)
        if not len(examples):
            continue
        prediction = predict(examples)
        row[column] = accuracy(task, examples, as_array(prediction.logits))
        if name == "source_test" and Sees.SOURCE_LABELS in sees:
            assert examples.labels is not None
            source = replace(prediction, labels=torch.from_numpy(examples.labels))
        elif name == "target_train" and Sees.TARGET_INPUTS in sees:
            label_free = scores(prediction.features, prediction.logits, source)
            row.update({f"validation/{key}": float(value) for key, value in label_free.items()})
        if name == "source_test":
            source_features = prediction.features
        elif name == "target_train":
            signs = health(prediction.features, prediction.logits, source_features)
            row.update({f"health/{key}": value for key, value in signs.items()})
        elif name == "target_test":
            logits = prediction.logits
    return row, logits


def metrics_of(
    task: DomainTask, examples: ExampleSet, curves: Mapping[str, Sequence[float]], logits: Tensor
) -> dict[str, float]:
    """Return the figures of a cell from what was measured at its checkpoints, ``logits`` being the last on the test."""
    test = curves["test"]
    metrics = {
        "test/accuracy": test[-1],
        "oracle/accuracy": max(test),
        "transductive/accuracy": curves["transductive"][-1],
    }
    if "source" in curves:
        metrics["source/accuracy"] = curves["source"][-1]
    if task.unknown is not None:
        metrics |= open_set_scores(as_array(logits), examples, task.unknown)
    metrics |= target_accuracies(task, examples, as_array(logits))
    for name in (*SCORES, *SOURCE_SCORES):
        if f"validation/{name}" in curves:
            metrics[f"selected/{name}"] = test[int(np.argmax(curves[f"validation/{name}"]))]
    return metrics


_COLUMNS = {"source_test": "source", "target_train": "transductive", "target_test": "test"}
"""Sets that are measured, the source first: scores of the target look at it; and what their accuracy is called."""


def accuracy(task: DomainTask, examples: ExampleSet, logits: NDArray[Any]) -> float:
    """Return the task's metric of logits (N, C) on labelled examples."""
    assert examples.labels is not None
    hits = logits.argmax(axis=1) == examples.labels
    if task.metric == "accuracy":
        return float(hits.mean())
    return float(np.mean([hits[examples.labels == label].mean() for label in np.unique(examples.labels)]))


def target_accuracies(task: DomainTask, examples: ExampleSet, logits: NDArray[Any]) -> dict[str, float]:
    """Return ``test/NAME``, the task's metric on each of several targets; nothing where there is one."""
    own = {name: np.flatnonzero(examples.domains == place) for place, name in enumerate(task.target_names)}
    return {f"test/{name}": accuracy(task, examples.subset(rows), logits[rows]) for name, rows in own.items()}


def open_set_scores(logits: NDArray[Any], examples: ExampleSet, unknown: int) -> dict[str, float]:
    """Return ``test/os_star``, ``test/unknown`` and ``test/h_score`` of logits (N, C) in an open-set task.

    OS* is the mean over known classes of the accuracy, the second figure the accuracy on unknown examples, the third
    their harmonic mean (Bucci et al., ECCV 2020, https://arxiv.org/abs/2007.12360): never answering "unknown" gives 0.
    """
    assert examples.labels is not None
    hits = logits.argmax(axis=1) == examples.labels
    classes = np.unique(examples.labels)
    known = float(np.mean([hits[examples.labels == label].mean() for label in classes if label != unknown]))
    others = float(hits[examples.labels == unknown].mean())
    mean = 2 * known * others / (known + others) if known + others else 0.0
    return {"test/os_star": known, "test/unknown": others, "test/h_score": mean}
