"""Methods on frozen features, fitted once, with a classifier on what comes out."""

from __future__ import annotations

from typing import Any

import torch

from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.protocols.domain import DomainProtocol, DomainRun
from tlzoo.bench.protocols.skeleton import Run
from tlzoo.bench.tuning import Settings
from tlzoo.data.example_set import ExampleSet
from tlzoo.errors import InputError
from tlzoo.methods.feature_method import FeatureMethod
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.nn.preparation import Side
from tlzoo.registry import create_method
from tlzoo.types import Prediction, Sees

__all__ = ["TransformProtocol"]


class TransformProtocol(DomainProtocol):
    """Fits once and measures; every validator selects the only checkpoint.

    Raises:
        ValueError: the cell has raw inputs.
    """

    transformed = False

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        if not cell.module.get("frozen"):
            raise InputError(f"{cell.method} takes features; set frozen: true and name the backbone that extracts them")
        super().__init__(cell, on_progress)

    def build(self, cell: Cell, settings: Settings) -> DomainRun:
        """Return features, and the transform with its classifier, not fitted yet."""
        shape = {"num_features": self.data.num_features, "num_classes": self.task.num_outputs}
        method = create_method(cell.method, **shape, **settings)
        assert isinstance(method, FeatureMethod)
        regression = self.task.regression
        model = AlignedClassifier(
            method,
            classifier=str(cell.module.get("classifier", "logistic")),
            penalty=cell.module.get("penalty", None if regression else 1.0),
            regression=regression,
        )
        return Run(cell=cell, data=self.data, module=model, method=method, notes={"selection": "fitted once"})

    def train(self, run: DomainRun) -> None:
        """Fit to the training data that the method may see, and measure."""
        seen = run.data.task.training_data(run.method.sees, by=run.method.name)
        run.module.fit(
            *_labelled(seen.source),
            seen.target.whole().inputs.float() if Sees.TARGET_INPUTS in run.method.sees else None,
            shots=None if seen.shots is None else _labelled(seen.shots),
        )
        self.checkpoint(run, 0)

    def predict(self, run: DomainRun, examples: ExampleSet, side: Side) -> Prediction:
        """Return the aligned features of a set, and the classifier's predictions for them."""
        aligned = getattr(run.method, f"transform_{side}")(examples.whole().inputs.float())
        return Prediction(features=aligned, logits=run.module.classifier(aligned))

    def logged(self, run: DomainRun) -> dict[str, float]:
        """Return nothing: a fit logs no losses."""
        return {}

    def notes(self, run: DomainRun) -> dict[str, Any]:
        """Return the entries of the receipt; dependence is measured on float32 features, as in fitting."""
        classifier = run.module.classifier
        parameters = sum(buffer.numel() for buffer in classifier.buffers() if buffer.is_floating_point())
        return {**super().notes(run), "answer": lambda items: run.module(items.float()), "parameters": parameters}


def _labelled(examples: ExampleSet) -> tuple[torch.Tensor, torch.Tensor]:
    assert examples.labels is not None
    whole = examples.whole()
    assert whole.labels is not None
    return whole.inputs.float(), whole.labels
