"""Zero-shot learning on frozen features: fit on seen classes, choose by held-out ones, answer among the unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.training import as_array, receipt, split_hash, train, tune
from tlzoo.data import load_task
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.lit import ZeroShot, ZeroShotData
from tlzoo.types import Sees

__all__ = ["load", "run"]

_DEPENDENCE_ITEMS = 64
_TOP = 5


def load(cell: Cell, task: ZeroShotTask) -> ZeroShotData:
    """Return the data of a cell: frozen features, encoded descriptions."""
    descriptions = cell.module.get("descriptions", "sentence:minilm")
    return ZeroShotData(task, features=cell.backbone, descriptions=descriptions, seed=cell.seed)


def run(cell: Cell, report: Report) -> Outcome:
    """Fit and answer; candidates are chosen by top-1 on held-out classes, then the method is fitted on those too."""
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, ZeroShotTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected a zero-shot task")
    data = load(cell, task)

    def evaluate(settings: dict[str, Any]) -> float:
        module = _fitted(cell, data, settings, report)
        embeddings, seen = data.candidates("validation")
        module.bind(embeddings, seen=seen)
        assert data.task.validation is not None
        return _answers(module, data, data.task.validation, "validation")["accuracy"]

    settings, note = tune(cell, evaluate)
    if cell.candidates:
        data.task = data.task.with_held_out_seen()
        note["refitted"] = "on seen and held-out classes"
    module = _fitted(cell, data, settings, report)
    return _outcome(module, data, note)


def _fitted(cell: Cell, data: ZeroShotData, settings: Mapping[str, Any], report: Report) -> ZeroShot:
    module = ZeroShot(
        "identity",
        cell.method,
        num_classes=data.num_candidates,
        num_embedding=data.embeddings.shape[1],
        backbone_settings={"num_features": data.num_features},
        method_settings=settings,
    )
    if Sees.SOURCE_INPUTS in module.method.sees:
        train(module, data, steps=-1, report=report)
    return module


def _scores(module: ZeroShot, data: ZeroShotData, examples: ExampleSet) -> NDArray[Any]:
    with torch.no_grad():
        return as_array(torch.cat([module(batch.inputs) for batch in data.passes(examples)]))


def _answers(module: ZeroShot, data: ZeroShotData, examples: ExampleSet, split: str) -> dict[str, float]:
    """Return top-1, top-5, mean per class and macro-F1 among a split's candidates."""
    from sklearn.metrics import f1_score

    assert examples.labels is not None
    scores = _scores(module, data, examples)
    labels = data.recounted(examples.labels, split)
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
    hits = ranked == labels[:, None]
    return {
        "accuracy": float(hits[:, 0].mean()),
        "top5": float(hits.any(axis=1).mean()),
        "per_class": float(np.mean([hits[labels == label, 0].mean() for label in np.unique(labels)])),
        "macro_f1": float(f1_score(labels, ranked[:, 0], average="macro", zero_division=0)),
    }


def _outcome(module: ZeroShot, data: ZeroShotData, note: dict[str, Any]) -> Outcome:
    embeddings, seen = data.candidates("test")
    module.bind(embeddings, seen=seen)
    task = data.task
    found = _answers(module, data, task.test, "test")
    metrics = {f"test/{name}": value for name, value in found.items()}
    if task.test_seen is not None:
        u, s = found["per_class"], _answers(module, data, task.test_seen, "test")["per_class"]
        metrics.update({"test/unseen": u, "test/seen": s, "test/harmonic": 2 * s * u / max(s + u, 1e-12)})
    inputs = task.test.batch(np.arange(min(_DEPENDENCE_ITEMS, len(task.test)))).inputs
    scores = _scores(module, data, task.test)
    kept = {"test_logits": scores} if scores.shape[1] <= 100 else _top_scores(scores)
    return Outcome(
        metrics=metrics,
        receipt=receipt(module.method, measure_dependence(module, inputs), **note),
        predictions=kept,
        splits={name: split_hash(task.test) for name in kept},
    )


def _top_scores(scores: NDArray[Any], count: int = 20) -> dict[str, NDArray[Any]]:
    """Return the best classes of each example and their scores, where all would be too many to store."""
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return {
        "test_top_classes": ranked.astype(np.int16),
        "test_top_scores": np.take_along_axis(scores, ranked, axis=1),
    }
