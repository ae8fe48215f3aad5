"""Multitask learning: train on all tasks, measure each on test data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

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
    trained_parameters,
    tune,
)
from tlzoo.data import load_task
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import MultitaskTask
from tlzoo.lit import Multitask, MultitaskData
from tlzoo.types import Sees

__all__ = ["load", "run"]

_DEPENDENCE_ITEMS = 64


def load(cell: Cell, task: MultitaskTask) -> MultitaskData:
    """Return the data of a cell."""
    steps = int(cell.budget["steps"])
    return MultitaskData(
        task,
        features=cell.backbone if cell.module.get("frozen") else None,
        batch_size=int(cell.budget["batch_size"]),
        seed=cell.seed,
        steps_per_epoch=max(steps // CHECKPOINTS, 1),
    )


def run(cell: Cell, report: Report) -> Outcome:
    """Train one network; candidates are chosen by the mean accuracy over tasks on validation data."""
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, MultitaskTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected a multitask task")
    data = load(cell, task)
    runs: dict[str, _Run] = {}

    def evaluate(settings: dict[str, Any]) -> float:
        torch.manual_seed(cell.seed)
        runs[repr(settings)] = finished = _Run(cell, data, settings, report)
        return float(np.mean(list(finished.accuracies(data.task.validation).values())))

    settings, note = tune(cell, evaluate)
    if repr(settings) not in runs:
        runs[repr(settings)] = _Run(cell, data, settings, report)
    return runs[repr(settings)].outcome(note)


def _network(cell: Cell, data: MultitaskData) -> tuple[str, dict[str, Any] | None]:
    """Return what is trained: the backbone, or on its frozen features nothing, or layers of ``hidden`` widths."""
    if not cell.module.get("frozen"):
        return str(cell.backbone), None
    if "hidden" in cell.module:
        return "mlp", {"num_inputs": data.num_features, "hidden": plain(cell.module["hidden"])}
    return "identity", {"num_features": data.num_features}


class _Run:
    """One training with its measurements."""

    def __init__(self, cell: Cell, data: MultitaskData, settings: dict[str, Any], report: Report) -> None:
        self.data = data
        backbone, backbone_settings = _network(cell, data)
        self.module = Multitask(
            backbone,
            cell.method,
            targets=data.task.targets,
            sharing=cell.module.get("sharing", "hard"),
            sharing_settings=plain(cell.module.get("sharing_settings", {})),
            space=cell.module.get("space", "parameters"),
            monitor=bool(cell.module.get("monitor", False)),
            optimizer=optimizer_settings(cell),
            backbone_settings=backbone_settings,
            method_settings=settings,
        )
        self.curves: dict[str, list[float]] = {"step": []}
        train(self.module, data, cell, steps=int(cell.budget["steps"]), report=report, measure=self._measure)

    def _measure(self, step: int) -> dict[str, float]:
        accuracies = self.accuracies(self.data.task.test)
        row = {"step": float(step), "test": float(np.mean(list(accuracies.values()))), **accuracies}
        row.update({k: float(v) for k, v in self.module.trainer.callback_metrics.items() if k.startswith("train/")})
        for name, value in row.items():
            self.curves.setdefault(name, []).append(value)
        return row

    def _outputs(self, examples: ExampleSet) -> dict[str, Any]:
        with torch.no_grad():
            parts = [self.module(batch.to(self.module.device).inputs) for batch in self.data.passes(examples)]
        return {task: as_array(torch.cat([part[task] for part in parts])) for task in self.module.tasks}

    def accuracies(self, examples: ExampleSet) -> dict[str, float]:
        """Return the accuracy of every task among the examples that have its label."""
        self.module.eval()
        found = {}
        for task, output in self._outputs(examples).items():
            labels = examples.targets[task]
            found[task] = float((output.argmax(axis=1) == labels)[labels >= 0].mean())
        return found

    def outcome(self, note: dict[str, Any]) -> Outcome:
        """Return what the cell found, with ``note`` in the receipt."""
        test = self.data.task.test
        accuracies = self.accuracies(test)
        inputs = test.batch(np.arange(min(_DEPENDENCE_ITEMS, len(test)))).inputs
        with torch.no_grad():
            dependence = measure_dependence(lambda items: torch.cat(list(self.module(items).values()), dim=1), inputs)
        return Outcome(
            metrics={
                "test/accuracy": float(np.mean(list(accuracies.values()))),
                **{f"test/{task}": accuracy for task, accuracy in accuracies.items()},
            },
            curves=self.curves,
            receipt=receipt(
                self.module.method,
                dependence,
                shown=(Sees.VALIDATION_LABELS,) if note else (),
                selection="last step",
                parameters=trained_parameters(self.module),
                **note,
            ),
            predictions={f"test_{task}": output for task, output in self._outputs(test).items()},
            splits={f"test_{task}": split_hash(test) for task in self.module.tasks},
        )
