"""Fine-tuning: a network pretrained on the source (or shipped so) is re-used for a few labelled target examples."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from tlzoo.backbones import create_backbone
from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.training import (
    CHECKPOINTS,
    as_array,
    optimizer_settings,
    receipt,
    split_hash,
    train,
    tune,
)
from tlzoo.data import load_task
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import DomainAdaptation, DomainData, FineTuning
from tlzoo.types import Backbone, Sees

__all__ = ["load", "run"]

_DEPENDENCE_ITEMS = 64


def load(cell: Cell, task: DomainTask) -> DomainData:
    """Return the labelled target examples of a cell, ``shots`` a class."""
    steps = int(cell.budget["steps"])
    return DomainData(
        task,
        target_shots=cell.module.get("shots"),
        batch_size=int(cell.budget["batch_size"]),
        seed=cell.seed,
        steps_per_epoch=max(steps // CHECKPOINTS, 1),
    )


def run(cell: Cell, report: Report) -> Outcome:
    """Pretrain on the source where the budget has steps for it, then fine-tune on the target.

    Candidates are not supported: no validation labels are left among a few shots.
    """
    if cell.candidates:
        raise ValueError("fine-tuning on a few shots has no validation set to choose candidates by; give settings")
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, DomainTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected a domain task")
    data = load(cell, task)
    settings, _ = tune(cell, lambda _: 0.0)
    backbone = _pretrained(cell, task, report)
    module = FineTuning(
        backbone,
        cell.method,
        num_classes=data.num_classes,
        optimizer=optimizer_settings(cell),
        method_settings=settings,
    )
    return _Run(cell, data, module, report).outcome()


def _pretrained(cell: Cell, task: DomainTask, report: Report) -> Backbone:
    """Return the backbone, trained on the labelled source for ``pretraining_steps``, the same for every method."""
    steps = int(cell.budget.get("pretraining_steps", 0))
    backbone = create_backbone(str(cell.backbone))
    if steps:
        data = DomainData(task, batch_size=int(cell.budget["batch_size"]), seed=cell.seed)
        module = DomainAdaptation(
            backbone, "source_only", num_classes=task.num_classes, optimizer={"backbone_lr": 1.0, "lr": 0.01}
        )
        train(module, data, cell, steps=steps, report=lambda share: report(0.5 * share))
    torch.manual_seed(cell.seed)
    return copy.deepcopy(backbone)


class _Run:
    """One fine-tuning with its measurements."""

    def __init__(self, cell: Cell, data: DomainData, module: FineTuning, report: Report) -> None:
        self.data, self.module = data, module
        self.curves: dict[str, list[float]] = {"step": [], "test": []}
        pretrained = bool(cell.budget.get("pretraining_steps"))
        source = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})
        self.shown = source if pretrained and module.method.keeps_pretraining else frozenset()
        half = 0.5 if pretrained else 0.0
        train(
            module,
            data,
            cell,
            steps=int(cell.budget["steps"]),
            report=lambda share: report(half + (1 - half) * share),
            measure=self._measure,
        )

    def _measure(self, step: int) -> dict[str, float]:
        examples, device = self.data.task.target_test, self.module.device
        self.logits = torch.cat([self.module(batch.to(device).inputs) for batch in self.data.passes(examples)])
        accuracy = float((as_array(self.logits).argmax(axis=1) == examples.labels).mean())
        self.curves["step"].append(float(step))
        self.curves["test"].append(accuracy)
        return {"test": accuracy}

    def outcome(self) -> Outcome:
        """Return what the cell found."""
        examples = self.data.task.target_test
        inputs: Any = examples.batch(np.arange(min(_DEPENDENCE_ITEMS, len(examples)))).inputs
        with torch.no_grad():
            dependence = measure_dependence(self.module, inputs)
        trained = sum(p.numel() for p in self.module.network.parameters() if p.requires_grad)
        return Outcome(
            metrics={"test/accuracy": self.curves["test"][-1], "trained_parameters": float(trained)},
            curves=self.curves,
            receipt=receipt(self.module.method, dependence, shown=self.shown, selection="last step"),
            predictions={"test_logits": as_array(self.logits)},
            splits={"test_logits": split_hash(examples)},
        )
