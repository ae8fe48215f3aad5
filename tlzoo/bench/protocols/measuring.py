"""Measurements of a model on a domain task at a checkpoint, and the resulting figures of a cell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.bench.protocols.training import as_array
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask
from tlzoo.selection import SCORES, SOURCE_SCORES, health, scores
from tlzoo.types import Prediction, Sees

__all__ = ["accuracy", "measured", "metrics_of", "open_set_scores", "target_accuracies"]


def measured(
    task: DomainTask, evaluated: DomainTask, sees: Collection[Sees], predict: Callable[[ExampleSet], Prediction]
) -> tuple[dict[str, float], Tensor]:
    """Return accuracies, label-free scores and diagnostics of the current model, and its logits on target test data.

    Only this function of the harness reads target test labels.

    Args:
        task: determines the metric.
        evaluated: the sets in the form that the model takes.
        sees: what the method declares to see; scores that need more are left out.
        predict: returns the model's predictions for a set.
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
    """Return the figures of a cell from the measurements at its checkpoints and its final test ``logits``."""
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
"""Measured sets and the names of their accuracies; the source comes first, because target scores use it."""


def accuracy(task: DomainTask, examples: ExampleSet, logits: NDArray[Any]) -> float:
    """Return the task's metric of logits (N, C) on labelled examples."""
    assert examples.labels is not None
    hits = logits.argmax(axis=1) == examples.labels
    if task.metric == "accuracy":
        return float(hits.mean())
    return float(np.mean([hits[examples.labels == label].mean() for label in np.unique(examples.labels)]))


def target_accuracies(task: DomainTask, examples: ExampleSet, logits: NDArray[Any]) -> dict[str, float]:
    """Return ``test/NAME``, the task's metric on each of several targets; empty for a single target."""
    own = {name: np.flatnonzero(examples.domains == place) for place, name in enumerate(task.target_names)}
    return {f"test/{name}": accuracy(task, examples.subset(rows), logits[rows]) for name, rows in own.items()}


def open_set_scores(logits: NDArray[Any], examples: ExampleSet, unknown: int) -> dict[str, float]:
    """Return ``test/os_star``, ``test/unknown`` and ``test/h_score`` of logits (N, C) in an open-set task.

    These are the mean accuracy over known classes (OS*), the accuracy on unknown examples, and their harmonic mean
    (Bucci et al., ECCV 2020, https://arxiv.org/abs/2007.12360), which is 0 if "unknown" is never predicted.
    """
    assert examples.labels is not None
    hits = logits.argmax(axis=1) == examples.labels
    classes = np.unique(examples.labels)
    known = float(np.mean([hits[examples.labels == label].mean() for label in classes if label != unknown]))
    others = float(hits[examples.labels == unknown].mean())
    mean = 2 * known * others / (known + others) if known + others else 0.0
    return {"test/os_star": known, "test/unknown": others, "test/h_score": mean}
