"""Domain adaptation and confusion: train on both domains, measure on target test data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.bench.cell import Cell, OnProgress, Outcome
from tlzoo.bench.embedding import EMBEDDED_SEED, embedding
from tlzoo.bench.fitting import fit, steps_per_epoch
from tlzoo.bench.protocols.augmentation import augmentation
from tlzoo.bench.protocols.networks import (
    frozen_backbone,
    has_pretrained_head,
    load_pretrained_head,
    network_name,
    network_settings,
)
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import (
    Protocol,
    Run,
    class_tables,
    example_figures,
    logged_figures,
    trained_parameters,
)
from tlzoo.bench.tuning import Settings, plain
from tlzoo.data.example_set import ExampleSet, split_hash
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData
from tlzoo.lit.domains import DomainModule
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.domain_method import check_for_regression
from tlzoo.methods.feature_method import FeatureMethod
from tlzoo.nn.preparation import Side
from tlzoo.registry import family_of, method_class
from tlzoo.scoring import ClassScores, RegressionScores, scorer
from tlzoo.selection import SCORES, SOURCE_SCORES, health, scores
from tlzoo.types import Prediction, Sees

__all__ = ["DomainProtocol", "DomainRun", "domain_data", "domain_module", "scored"]

DomainRun = Run[DomainData, Any]

_MODULES: dict[str, type[DomainModule]] = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}

_COLUMNS = {"source_test": "source", "target_train": "transductive", "target_test": "test"}
"""Measured set -> curve of its headline figure. The source comes first because scores of the target use it."""

_AS_IT_COMES = "adaptation/source_only"
"""The method that adds nothing to a network."""

_WATCHED = ("feature_gradient", "domain_accuracy")
"""Logged figures that are signs of the health of the training."""


def domain_data(cell: Cell, task: DomainTask, **settings: Any) -> DomainData:
    """Return the data of a cell, frozen features or raw inputs; ``settings`` override those of the cell."""
    given = {
        "features": frozen_backbone(cell) if cell.module.get("frozen") else None,
        "transform": cell.module.get("transform"),
        "transform_settings": plain(cell.module.get("transform_settings")),
        "scale": bool(cell.module.get("scale", False)),
        "augment": augmentation(cell),
        "batch_size": int(cell.budget["batch_size"]),
        "seed": cell.seed,
        "steps_per_epoch": steps_per_epoch(int(cell.budget["steps"])),
    }
    return DomainData(task, **{**given, **settings})


def domain_module(cell: Cell, data: DomainData, settings: Settings) -> DomainModule:
    """Return the module of a cell, before training."""
    frozen = cell.module.get("frozen")
    module = _MODULES[family_of(cell.method)](
        "identity" if frozen else network_name(cell),
        cell.method,
        **DomainModule.settings_from_data(data),
        bottleneck=cell.module.get("bottleneck"),
        batch_statistics=cell.module.get("batch_statistics", "joint"),
        optimizer=optimizer_settings(cell),
        backbone_settings={"num_features": data.num_features} if frozen else network_settings(cell, data.task),
        method_settings=settings,
    )
    if has_pretrained_head(cell):
        load_pretrained_head(cell, module.network)
    return module


def scored(counted: ClassScores | RegressionScores, logits: Tensor, examples: ExampleSet) -> dict[str, float]:
    """Return the figures of logits (N, C) on a set; NaN where no label is known."""
    if examples.labels is None and isinstance(counted, RegressionScores):
        return counted.of(logits.cpu(), torch.full(logits.shape, torch.nan))
    labels = np.full(len(examples), -1) if examples.labels is None else examples.labels
    groups = torch.from_numpy(examples.domains) if counted.groups and examples.domains is not None else None
    return counted.of(logits.cpu(), torch.from_numpy(labels), groups)


class DomainProtocol(Protocol[DomainTask, DomainData, Any]):
    """Trains one network on both domains and measures it at five checkpoints.

    Candidates are chosen at the last step by a label-free score on target training inputs, the information score where
    the suite names no other; those of a method that sees no target input by the headline on held-out source data.

    Raises:
        ValueError: the test has no labels; the task has labelled target examples, and the method is no alignment of one
            loss; or there is a transform, and the method does not train on both domains.
    """

    takes = DomainTask
    transformed: ClassVar[bool] = True
    """Whether a transform of features may come before the method."""

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        super().__init__(cell, on_progress)
        if self.task.target_test.labels is None:
            raise InputError(f"target_test of {self.task.name} has no labels, which a cell is measured by; give labels")
        if self.task.shots is not None and not issubclass(method_class(cell.method), (Alignment, FeatureMethod)):
            raise InputError(
                f"{self.task.name} has labelled target examples, which {cell.method} does not learn from beside the "
                "source; take the task without its shots, or a method of one loss"
            )
        if self.task.regression:
            check_for_regression(method_class(cell.method), self.task.name)
            if (rule := cell.search.get("rule", "source")) != "source":
                raise InputError(
                    f"rule {rule!r} reads probabilities, and {self.task.name} is a regression; take 'source'"
                )
        if not self.transformed and (cell.module.get("transform") or cell.candidates.get("transform")):
            raise InputError(
                f"{cell.method} takes no transform: it adapts a source model without the source, or transforms "
                "features itself; put the transform before a method that trains on both domains"
            )

    @classmethod
    def for_cell(cls, cell: Cell, task: DomainTask) -> DomainTask:
        """Return the task with ``module.shots`` labelled target examples a class, drawn by the cell's seed."""
        shots = cell.module.get("shots")
        return task if shots is None else task.semi_supervised(int(shots), seed=cell.seed)

    @classmethod
    def load(cls, cell: Cell, task: DomainTask) -> DomainData:
        """Return source and target."""
        return domain_data(cell, task.drawn(seed=cell.seed))

    def build(self, cell: Cell, settings: Settings) -> DomainRun:
        """Return data and module, before training."""
        data = self.load(cell, self.task) if "transform" in self.cell.candidates else self.data
        return Run(cell=cell, data=data, module=domain_module(cell, data, settings))

    def train(self, run: DomainRun) -> None:
        """Train for the budget's steps; ``source_only`` with the classifier of its backbone is answered as it comes."""
        if not has_pretrained_head(run.cell) or run.cell.method != _AS_IT_COMES:
            super().train(run)
            return
        fit(run.module, run.data, run.cell, steps=0, on_progress=self.on_progress)
        with torch.no_grad():
            self.checkpoint(run, 0)

    def measure(self, run: DomainRun) -> Mapping[str, float]:
        """Return headline figures, label-free scores, signs of health, and the last logged figures.

        Labels of the target are read here, in the harness, and nowhere else.
        """
        sees = run.method.sees | run.data.transform_sees
        regression, metric = self.task.regression, self.task.metric
        headline = scorer(self.task) if regression else ClassScores(self.task.num_classes, metric=metric)
        row: dict[str, float] = {}
        source: Prediction | None = None
        for name, column in _COLUMNS.items():
            examples: ExampleSet = getattr(run.data.task, name)
            if not len(examples):
                continue
            said = run.last[name] = self.predict(run, examples, "source" if name == "source_test" else "target")
            row[column] = scored(headline, said.logits, examples)[metric]
            if name == "source_test":
                source = replace(said, labels=torch.as_tensor(examples.labels))
            elif name == "target_train":
                shown = source if Sees.SOURCE_LABELS in sees else None
                seen = Sees.TARGET_INPUTS in sees
                found = scores(said.features, said.logits, shown, regression=regression) if seen else {}
                signs = health(
                    said.features, None if regression else said.logits, None if source is None else source.features
                )
                row |= {f"validation/{key}": float(value) for key, value in found.items()}
                row |= {f"health/{key}": value for key, value in signs.items()}
        return row | self.logged(run)

    def predict(self, run: DomainRun, examples: ExampleSet, side: Side) -> Prediction:
        """Return the network's predictions for a set of a domain."""
        prediction: Prediction = run.module.predict_all(run.data.passes(examples, whole=True), side=side)
        return prediction

    def logged(self, run: DomainRun) -> dict[str, float]:
        """Return the last figures that training logged, and signs of health as ``health/SIGN``."""
        found = logged_figures(run.module)
        signs = {f"health/{sign}": v for k, v in found.items() if (sign := k.rsplit("/", 1)[-1]) in _WATCHED}
        return {**{k: v for k, v in found.items() if not k.endswith("/feature_gradient")}, **signs}

    def validation(self, run: DomainRun) -> float:
        """Return the score of the cell's rule at the last step."""
        return run.curves[self.rule(run)][-1]

    def rule(self, run: DomainRun) -> str:
        """Return the curve by which candidates are chosen: a label-free score; held-out source data without any."""
        name = f"validation/{self.cell.search.get('rule', 'information')}"
        return name if name in run.curves else "source"

    def outcome(self, run: DomainRun, note: dict[str, Any]) -> Outcome:
        """Return the outcome on target test data."""
        test, logits, counted = run.data.task.target_test, run.last["target_test"].logits, scorer(self.task)
        figures = {f"test/{name}": value for name, value in scored(counted, logits, test).items()}
        name = "test_values" if self.task.regression else "test_logits"
        tables = {} if self.task.regression else class_tables(name, counted, self.task.class_names)
        figured = {} if self.task.regression else example_figures(logits.argmax(dim=1), test, self.task.metric)
        return self.found(
            run,
            metrics={**figures, **self.figures(run)},
            predictions={name: logits.cpu().numpy(), **figured},
            split=split_hash(test),
            tables={**tables, **self._picture(run)},
            items=test,
            **{**self.notes(run), **note, **({"rule": self.rule(run).removeprefix("validation/")} if note else {})},
        )

    def figures(self, run: DomainRun) -> dict[str, float]:
        """Return the headline of all sets at the last checkpoint, and of the test at those that validators select."""
        metric, curves, test = self.task.metric, run.curves, run.curves["test"]
        last = {f"{name}/{metric}": curves[name][-1] for name in ("transductive", "source") if name in curves}
        validators = {"source": "source", **{name: f"validation/{name}" for name in (*SCORES, *SOURCE_SCORES)}}
        chosen = {name: int(np.argmax(curves[curve])) for name, curve in validators.items() if curve in curves}
        selected = {f"selected/{name}": test[place] for name, place in chosen.items()}
        return {f"oracle/{metric}": max(test), **last, **selected}

    def notes(self, run: DomainRun) -> dict[str, Any]:
        """Return the declared entries of the receipt; the measured ones are added later."""
        few, transform = self.task.shots is not None, run.data.transform
        trained_on = self.task.transductive and Sees.TARGET_INPUTS in run.method.sees | run.data.transform_sees
        return {
            "answer": run.module,
            "selection": "last step",
            "parameters": trained_parameters(run.module),
            "shown": {
                *([Sees.TARGET_LABELS] if few else []),
                *run.data.transform_sees,
                *([Sees.TEST_INPUTS] if trained_on else []),
            },
            "transductive": True if trained_on else None,
            "shots": self.task.shots_per_class if few else None,
            "transform": None if transform is None else transform.name,
        }

    def _picture(self, run: DomainRun) -> dict[str, NDArray[Any]]:
        """Return a small picture of the features, of one seed."""
        shown = {
            side: name for side, name in (("source", "source_test"), ("target", "target_train")) if name in run.last
        }
        if run.cell.seed != EMBEDDED_SEED or not shown or self.task.regression:
            return {}
        features = {side: run.last[name].features.cpu().numpy() for side, name in shown.items()}
        return embedding(features, {side: getattr(run.data.task, name) for side, name in shown.items()})
