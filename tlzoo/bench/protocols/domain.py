"""Domain adaptation and confusion: train on the views, measure on target test data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.training import (
    CHECKPOINTS,
    as_array,
    divided,
    optimizer_settings,
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
from tlzoo.selection import SCORES, scores
from tlzoo.types import Sees

__all__ = ["load", "run"]

_MODULES: dict[str, type[DomainModule]] = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}
_DEPENDENCE_ITEMS = 64


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


def _module(cell: Cell, data: DomainData, settings: dict[str, Any]) -> DomainModule:
    cell, settings = divided(cell, settings)
    frozen = cell.module.get("frozen")
    return _MODULES[cell.method.split("/")[0]](
        "identity" if frozen else str(cell.backbone),
        cell.method,
        num_classes=data.num_classes,
        bottleneck=cell.module.get("bottleneck"),
        batch_statistics=cell.module.get("batch_statistics", "joint"),
        optimizer=optimizer_settings(cell),
        backbone_settings={"num_features": data.num_features} if frozen else None,
        method_settings=settings,
    )


def run(cell: Cell, report: Report) -> Outcome:
    """Train one network and measure it at ten checkpoints.

    Candidates are chosen at the last step by a label-free score on target training inputs, the information score where
    the suite names no other; those of a method that sees no target input by accuracy on held-out source data.
    """
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, DomainTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected a domain task")
    data = load(cell, task)
    runs: dict[str, _Run] = {}
    rule = cell.search.get("rule", "information")

    def evaluate(settings: dict[str, Any]) -> float:
        torch.manual_seed(cell.seed)
        runs[repr(settings)] = finished = _Run(cell, data, _module(cell, data, settings), report)
        return float(finished.curves.get(f"validation/{rule}", finished.curves["source"])[-1])

    settings, note = tune(cell, evaluate)
    if repr(settings) not in runs:
        runs[repr(settings)] = _Run(cell, data, _module(cell, data, settings), report)
    chosen = runs[repr(settings)]
    if note:
        note["rule"] = rule if f"validation/{rule}" in chosen.curves else "source"
    return chosen.outcome(note)


class _Run:
    """One training with its measurements."""

    def __init__(self, cell: Cell, data: DomainData, module: DomainModule, report: Report) -> None:
        self.module, self.task = module, data.task
        self.curves: dict[str, list[float]] = {"step": []}
        self.data = data
        self.trainer = train(module, data, steps=int(cell.budget["steps"]), report=report, measure=self._measure)

    def _measure(self, step: int) -> None:
        """Measure the network as it is; labels of the target are read here, in the harness, and nowhere else."""
        module, evaluated = self.module, self.data.evaluated
        row: dict[str, float] = {"step": float(step)}
        for name in ("target_test", "target_train", "source_test"):
            examples: ExampleSet = getattr(evaluated, name)
            prediction = module.predict_all(self.data.passes(examples))
            if name == "target_train" and Sees.TARGET_INPUTS in module.method.sees:
                label_free = scores(prediction.features, prediction.logits)
                row.update({f"validation/{key}": float(value) for key, value in label_free.items()})
            accuracy = self._accuracy(examples, as_array(prediction.logits))
            row[{"target_test": "test", "target_train": "transductive", "source_test": "source"}[name]] = accuracy
            if name == "target_test":
                self.logits = prediction.logits
        logged = module.trainer.callback_metrics
        row.update({name: float(value) for name, value in logged.items() if name.startswith("train/")})
        for name, value in row.items():
            self.curves.setdefault(name, []).append(value)

    def _accuracy(self, examples: ExampleSet, logits: NDArray[Any]) -> float:
        assert examples.labels is not None
        hits = logits.argmax(axis=1) == examples.labels
        if self.task.metric == "accuracy":
            return float(hits.mean())
        return float(np.mean([hits[examples.labels == label].mean() for label in np.unique(examples.labels)]))

    def outcome(self, note: dict[str, Any]) -> Outcome:
        test = self.curves["test"]
        metrics = {
            "test/accuracy": test[-1],
            "oracle/accuracy": max(test),
            "transductive/accuracy": self.curves["transductive"][-1],
            "source/accuracy": self.curves["source"][-1],
        }
        for name in SCORES:
            if f"validation/{name}" in self.curves:
                metrics[f"selected/{name}"] = test[int(np.argmax(self.curves[f"validation/{name}"]))]
        examples = self.data.evaluated.target_test
        inputs = examples.batch(np.arange(min(_DEPENDENCE_ITEMS, len(examples)))).inputs
        with torch.no_grad():
            dependence = measure_dependence(self.module, inputs)
        return Outcome(
            metrics=metrics,
            curves={name: values for name, values in self.curves.items() if len(values) == len(test)},
            receipt=receipt(
                self.module.method,
                dependence,
                selection="last step",
                parameters=trained_parameters(self.module),
                **note,
            ),
            predictions={"test_logits": as_array(self.logits)},
            splits={"test_logits": split_hash(examples)},
        )
