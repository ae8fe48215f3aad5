"""Transforms of frozen features: fitted once, then a classifier on the source features that they aligned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tlzoo.bench.cell import Cell, Outcome
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.domain import DEPENDENCE_ITEMS, load
from tlzoo.bench.protocols.measuring import measured, metrics_of
from tlzoo.bench.protocols.training import as_array, divided, receipt, split_hash, tune
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask
from tlzoo.methods.transforms import AlignedClassifier, FeatureTransform
from tlzoo.registry import create_method
from tlzoo.types import Prediction, Sees

__all__ = ["answer_aligned"]


def answer_aligned(cell: Cell, task: DomainTask) -> Outcome:
    """Fit and measure; there is one checkpoint, which every validator selects.

    Candidates are chosen as those of trained methods are, by a label-free score or by held-out source data.

    Raises:
        ValueError: the cell has raw inputs.
    """
    if not cell.module.get("frozen"):
        raise ValueError(f"{cell.method} takes features; set frozen: true and name the backbone that extracts them")
    features = load(cell, task).task
    fits: dict[str, _Fit] = {}
    rule = cell.search.get("rule", "information")

    def evaluate(settings: dict[str, Any]) -> float:
        fits[repr(settings)] = finished = _Fit.of(cell, features, settings)
        return finished.row.get(f"validation/{rule}", finished.row["source"])

    settings, note = tune(cell, evaluate)
    if repr(settings) not in fits:
        evaluate(settings)
    chosen = fits[repr(settings)]
    if note:
        note["rule"] = rule if f"validation/{rule}" in chosen.row else "source"
    return chosen.outcome(features, note)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """A fitted model with what was measured of it."""

    model: AlignedClassifier
    row: dict[str, float]
    logits: torch.Tensor

    @classmethod
    def of(cls, cell: Cell, task: DomainTask, settings: dict[str, Any]) -> _Fit:
        """Fit a model to what its method sees of the task, and measure it."""
        cell, settings = divided(cell, settings)
        width = _inputs(task.target_test).shape[1]
        method = create_method(cell.method, num_features=width, num_classes=task.num_classes, **settings)
        assert isinstance(method, FeatureTransform)
        model = AlignedClassifier(method, penalty=float(cell.module.get("penalty", 1.0)))
        view = task.view(method.sees, by=method.name)
        model.fit(
            *_labelled(view.source),
            _inputs(view.target) if Sees.TARGET_INPUTS in method.sees else None,
            shots=None if view.shots is None else _labelled(view.shots),
        )
        source_test = task.source_test

        def predict(examples: ExampleSet) -> Prediction:
            transform = method.transform_source if examples is source_test else method.transform_target
            aligned = transform(_inputs(examples))
            return Prediction(features=aligned, logits=model.classifier(aligned))

        row, logits = measured(task, task, method.sees, predict)
        return cls(model=model, row=row, logits=logits)

    def outcome(self, task: DomainTask, note: dict[str, Any]) -> Outcome:
        """Return what is stored."""
        examples = task.target_test
        dependence = measure_dependence(self.model, _inputs(examples)[:DEPENDENCE_ITEMS])
        classifier = self.model.classifier
        curves = {name: [value] for name, value in {"step": 0.0, **self.row}.items()}
        return Outcome(
            metrics=metrics_of(task, examples, curves, self.logits),
            curves=curves,
            receipt=receipt(
                self.model.transform,
                dependence,
                selection="fitted once",
                parameters=classifier.weight.numel() + classifier.bias.numel(),
                shown=() if task.shots is None else (Sees.TARGET_LABELS,),
                **({} if task.shots is None else {"shots": task.shots_per_class}),
                **note,
            ),
            predictions={"test_logits": as_array(self.logits)},
            splits={"test_logits": split_hash(examples)},
        )


def _labelled(examples: ExampleSet) -> tuple[torch.Tensor, torch.Tensor]:
    assert examples.labels is not None
    return _inputs(examples), torch.from_numpy(examples.labels)


def _inputs(examples: ExampleSet) -> torch.Tensor:
    features: torch.Tensor = examples.batch(np.arange(len(examples))).inputs
    return features.float()
