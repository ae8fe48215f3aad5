"""Domain adaptation and confusion: train on the views, measure on target test data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.embedding import EMBEDDED_SEED, embedding
from tlzoo.bench.protocols.measuring import measured, metrics_of
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
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData
from tlzoo.lit.domains import DomainModule
from tlzoo.lit.target_module import TargetModule
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.source_free import SourceFree
from tlzoo.methods.test_time import TestTime
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.registry import family_of, method_class
from tlzoo.types import Prediction, Sees

__all__ = ["DEPENDENCE_ITEMS", "domain_module", "load", "run"]

_MODULES: dict[str, type[DomainModule]] = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}
DEPENDENCE_ITEMS = 64


def load(cell: Cell, task: DomainTask) -> DomainData:
    """Return the data of a cell: frozen features where the suite says so, raw inputs otherwise."""
    steps, batch_size = int(cell.budget["steps"]), int(cell.budget["batch_size"])
    return DomainData(
        task,
        features=cell.backbone if cell.module.get("frozen") else None,
        transform=cell.module.get("transform"),
        transform_settings=plain(cell.module.get("transform_settings")),
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
    return _MODULES[family_of(cell.method)](
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
        ValueError: the task has labelled target examples, and the method is no alignment of one loss; or there is a
            transform, and the method does not train on both domains.
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
    if issubclass(cls, (TestTime, SourceFree, FeatureTransform)) and _transforms(cell):
        raise ValueError(
            f"{cell.method} takes no transform: it adapts a source model without the source, or transforms features "
            "itself; put the transform before a method that trains on both domains"
        )
    if issubclass(cls, TestTime):
        from tlzoo.bench.protocols.adapting import answer_stream  # here: it builds on this module

        return answer_stream(cell, task, report)
    if issubclass(cls, FeatureTransform):
        from tlzoo.bench.protocols.feature_transforms import answer_aligned  # here: it builds on this module

        return answer_aligned(cell, task)
    build = _builder(cell, task, report, source_free=issubclass(cls, SourceFree))
    runs: dict[str, _Run] = {}
    rule = cell.search.get("rule", "information")

    def evaluate(settings: dict[str, Any]) -> float:
        torch.manual_seed(cell.seed)
        runs[repr(settings)] = finished = _Run(cell, *build(settings), report)
        return float(finished.curves.get(f"validation/{rule}", finished.curves["source"])[-1])

    settings, note = tune(cell, evaluate)
    if repr(settings) not in runs:
        runs[repr(settings)] = _Run(cell, *build(settings), report)
    chosen = runs[repr(settings)]
    if note:
        note["rule"] = rule if f"validation/{rule}" in chosen.curves else "source"
    return chosen.outcome(note)


def _transforms(cell: Cell) -> bool:
    return bool(cell.module.get("transform") or cell.candidates.get("transform"))


def _builder(
    cell: Cell, task: DomainTask, report: Report, *, source_free: bool
) -> Callable[[dict[str, Any]], tuple[DomainData, TargetModule]]:
    """Return what makes data and module of a cell from the settings that are tried."""
    if not source_free:

        def trained(settings: dict[str, Any]) -> tuple[DomainData, TargetModule]:
            data = load(divided(cell, settings)[0], task)
            return data, domain_module(cell, data, settings)

        return trained
    from tlzoo.bench.protocols import adapting  # here: it builds on this module

    source = adapting.source_model(cell, task, report)
    target = adapting.target_data(cell, task, source)

    def adapted(settings: dict[str, Any]) -> tuple[DomainData, TargetModule]:
        own, rest = divided(cell, settings)
        return target, adapting.source_free_module(own, target, source, rest, optimizer_settings(own))

    return adapted


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
        sees = module.method.sees | self.data.transform_sees
        row, self.logits = measured(self.task, self.data.evaluated, sees, self._predict)
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
        """Return what the cell found, with ``note`` in the receipt."""
        test = self.curves["test"]
        shots = () if self.task.shots is None else (Sees.TARGET_LABELS,)
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
                shown={*shots, *self.data.transform_sees},
                **({"shots": self.task.shots_per_class} if shots else {}),
                **({} if self.data.transform is None else {"transform": self.data.transform.name}),
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
