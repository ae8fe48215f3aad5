"""Multitask learning: several tasks over shared layers, their losses weighted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import MeanAbsoluteError

from tlzoo.data.tasks import Target
from tlzoo.lit.module import TransferModule, as_backbone, as_method, objects
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.methods.base import Method, Weighting
from tlzoo.nn.sharing import HardSharing, NoSharing
from tlzoo.types import TaskBatch

__all__ = ["Multitask"]

_SHARING = {"hard": HardSharing, "none": NoSharing}


class Multitask(TransferModule):
    """A head a task over a sharing architecture; a :class:`~tlzoo.methods.base.Weighting` weighs the losses.

    Heads and shared layers get the gradient of the weighted sum. A task without labels in a batch has no part in it.

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, or a weighting.
        targets: task name -> :class:`~tlzoo.data.tasks.Target`, or its number of classes (0: regression).
        sharing: ``"hard"``: one backbone for all tasks; ``"none"``: one a task, which is single-task learning.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: for a backbone given by name.
        method_settings: for a method given by name.
    """

    families: ClassVar[tuple[str, ...]] = ("multitask",)
    method: Weighting

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        targets: Mapping[str, Target | int],
        sharing: Literal["hard", "none"] = "hard",
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        sizes = {task: t.classes if isinstance(t, Target) else t for task, t in targets.items()}
        targets = dict(sizes)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        self.tasks = tuple(sizes)
        method = as_method(method, self.families, method_settings, num_tasks=len(targets))
        if not isinstance(method, Weighting):
            raise TypeError(f"{type(method).__name__} is no weighting; Multitask takes a Weighting")
        self.method = method
        self.sharing = _SHARING[sharing](as_backbone(backbone, backbone_settings), self.tasks)
        width = self.sharing.num_features
        self.heads = nn.ModuleDict({task: nn.Linear(width, max(size, 1)) for task, size in sizes.items()})
        self.metrics = nn.ModuleDict({split: _metrics(sizes) for split in ("validation_", "test_")})
        self.register_buffer("loss_sums", torch.zeros(len(sizes)))
        self.register_buffer("loss_counts", torch.zeros(len(sizes)))

    def pretrained(self) -> nn.Module:
        """Return the sharing architecture."""
        return self.sharing

    def forward(self, inputs: Any) -> dict[str, Tensor]:
        """Map raw inputs (B, ...) to one output a task: logits (B, C), or a value (B, 1)."""
        features = self.sharing(inputs)
        return {task: self.heads[task](features[task]) for task in self.tasks}

    def training_step(self, batch: TaskBatch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the losses plus what trains the weighting."""
        by_task = self._losses(batch)
        losses = self._stacked(by_task)
        weights = self.method.weights(losses.detach())
        total = (weights * losses).sum() + self.method.objective(losses.detach())
        self.get_buffer("loss_sums").add_(losses.detach())
        self.get_buffer("loss_counts").add_(torch.tensor([float(task in by_task) for task in self.tasks]).to(losses))
        terms = {"loss": total, **{f"loss_{task}": loss for task, loss in by_task.items()}}
        terms.update({f"weight_{task}": weight for task, weight in zip(self.tasks, weights, strict=True)})
        self.log_terms(terms, batch.size)
        return self.check_loss(total, terms)

    def _losses(self, batch: TaskBatch) -> dict[str, Tensor]:
        """Return the loss of every task that has a label in the batch."""
        outputs = self(batch.inputs)
        losses = {}
        for task in self.tasks:
            output, labels, present = (self.joined(rows) for rows in (outputs[task], *_labelled(batch, task)))
            losses[task] = _loss(output, labels, present)
        by_task = {task: loss for task, loss in losses.items() if loss is not None}
        if not by_task:
            raise ValueError("a batch in which no task has a label; drop such inputs from the training set")
        return by_task

    def _stacked(self, by_task: Mapping[str, Tensor]) -> Tensor:
        zero = next(iter(by_task.values())).new_zeros(())
        return torch.stack([by_task.get(task, zero) for task in self.tasks])

    def on_train_batch_end(self, outputs: Any, batch: TaskBatch, batch_idx: int) -> None:
        """Show a weighting that wants it the losses of the same batch after the step."""
        if type(self.method).after_step is not Weighting.after_step:
            with torch.no_grad():
                self.method.after_step(self._stacked(self._losses(batch)))

    def on_train_epoch_end(self) -> None:
        """Tell the weighting the mean losses of the epoch."""
        sums, counts = self.get_buffer("loss_sums"), self.get_buffer("loss_counts")
        self.method.on_epoch(sums / counts.clamp_min(1))
        sums.zero_()
        counts.zero_()

    def validation_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Measure every task on validation data."""
        self._measure(batch, "validation")

    def test_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Measure every task on test data."""
        self._measure(batch, "test")

    def _measure(self, batch: TaskBatch, split: str) -> None:
        outputs = self(batch.inputs)
        metrics = self.metrics[f"{split}_"]
        assert isinstance(metrics, nn.ModuleDict)
        for task, metric in metrics.items():
            assert isinstance(metric, Metric)
            output, labels = _shown(outputs[task], *_labelled(batch, task))
            if len(labels):
                metric.update(output, labels)
                self.log(f"{split}/{task}_{_metric_name(metric)}", metric)

    def predict_step(self, batch: TaskBatch, batch_idx: int) -> dict[str, Tensor]:
        """Return the outputs by task."""
        return self(batch.inputs)  # type: ignore[no-any-return]


def _metrics(sizes: Mapping[str, int]) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            task: MulticlassAccuracy(size, average="micro") if size else MeanAbsoluteError()
            for task, size in sizes.items()
        }
    )


def _metric_name(metric: Metric) -> str:
    return "accuracy" if isinstance(metric, MulticlassAccuracy) else "error"


def _labelled(batch: TaskBatch, task: str) -> tuple[Tensor, Tensor]:
    """Return the labels of a task and which of them are there."""
    labels = batch.targets[task]
    missing = labels.isnan() if labels.is_floating_point() else labels < 0
    return labels, ~missing & batch.present.get(task, torch.ones_like(missing))


def _shown(output: Tensor, labels: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    output, labels = output[present], labels[present]
    return (output.squeeze(1), labels.to(output.dtype)) if labels.is_floating_point() else (output, labels)


def _loss(output: Tensor, labels: Tensor, present: Tensor) -> Tensor | None:
    output, labels = _shown(output, labels, present)
    if not len(labels):
        return None
    return F.mse_loss(output, labels) if labels.is_floating_point() else F.cross_entropy(output, labels)
