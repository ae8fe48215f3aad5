"""The skeleton of all protocols: load, build, train, measure, outcome."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import nn

from tlzoo.bench.cell import EXAMPLE_CLUSTERS, EXAMPLE_FIGURES, Cell, OnProgress, Outcome
from tlzoo.bench.development import frozen_choice
from tlzoo.bench.execution.one_cell import undisturbed
from tlzoo.bench.fitting import fit
from tlzoo.bench.receipts import receipt
from tlzoo.bench.tuning import Settings, choose, plain, settings_of
from tlzoo.data import load_task
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import Task
from tlzoo.errors import InputError, InputTypeError
from tlzoo.scoring import ClassScores

__all__ = ["Protocol", "Run", "class_tables", "example_figures", "logged_figures", "trained_parameters"]

T = TypeVar("T", bound=Task)
D = TypeVar("D")
M = TypeVar("M")


@dataclass(kw_only=True)
class Run(Generic[D, M]):
    """One training of a cell, with one choice of settings.

    Attributes:
        cell: the cell, with the tried settings of its module filled in.
        data: the data module.
        module: the module that is trained and tested.
        notes: entries for the receipt.
        curves: figures measured at the checkpoints; ``step`` is their axis.
        last: predictions of the last checkpoint, by name of the set.
        method: the method whose declaration of supervision counts; by default the module's.
    """

    cell: Cell
    data: D
    module: M
    notes: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    method: Any = None

    def __post_init__(self) -> None:
        self.method = self.method or self.module.method  # type: ignore[attr-defined]  # all Lightning modules have one

    def record(self, step: int, row: Mapping[str, float]) -> None:
        """Add the figures measured after a number of steps to the curves."""
        for name, value in {"step": float(step), **row}.items():
            self.curves.setdefault(name, []).append(value)


class Protocol(ABC, Generic[T, D, M]):
    """Base of protocols: the steps of a cell of one kind, from its task to its outcome.

    Args:
        cell: the cell to run.
        on_progress: called with the finished share.

    Raises:
        TypeError: the cell's task is of another kind.
    """

    takes: ClassVar[type[Task]]

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        self.cell, self.on_progress = cell, on_progress
        with undisturbed():  # extracting features must not draw from the run's random numbers: the cache would not
            task: Any = load_task(cell.given_task, root=cell.root)
            if cell.data and task.checksum != cell.task_checksum:
                raise InputError(f"the files of {cell.task} changed after the suite was planned; run it again")
            if not isinstance(task, self.takes):
                raise InputTypeError(f"{cell.task} is of kind {task.kind}; expected a task of kind {self.takes.kind}")
            taken: Any = task  # mypy knows no bound for a class variable
            self.task: T = self.for_cell(cell, taken)
            self.data = self.load(cell, self.task)

    def run(self) -> Outcome:
        """Run the cell once per candidate, or with what was chosen elsewhere; return the outcome of the chosen run."""
        if (note := frozen_choice(self.cell, self._tuned)) is not None:
            run = self.attempt({**plain(self.cell.settings), **note["tuned"]})
        else:
            run, note = choose(self.cell, self.attempt, self.validation)
        return self.outcome(self.final(run), note)

    def _tuned(self, cell: Cell) -> dict[str, Any]:
        """Run the candidates of a development cell, and return the note on the choice."""
        elsewhere = type(self)(cell, self.on_progress)
        with undisturbed():
            return choose(cell, elsewhere.attempt, elsewhere.validation)[1]

    def attempt(self, settings: Settings) -> Run[D, M]:
        """Build and train with the given settings, from the cell's seed."""
        torch.manual_seed(self.cell.seed)
        run = self.build(*settings_of(self.cell, settings))
        self.train(run)
        return run

    @classmethod
    def for_cell(cls, cell: Cell, task: T) -> T:  # noqa: ARG003
        """Return the task for the cell's seed; by default it is the same for all seeds."""
        return task

    @classmethod
    @abstractmethod
    def load(cls, cell: Cell, task: T) -> D:
        """Return the data of a cell; features that cells share are extracted here, once."""

    @abstractmethod
    def build(self, cell: Cell, settings: Settings) -> Run[D, M]:
        """Return data and module, before training."""

    def train(self, run: Run[D, M]) -> None:
        """Train for the budget's ``steps``, measuring at the checkpoints."""
        steps, module, data = int(run.cell.budget["steps"]), run.module, run.data
        fit(module, data, run.cell, steps=steps, on_progress=self.on_progress, measure=partial(self.checkpoint, run))  # type: ignore[arg-type]  # those that train

    def checkpoint(self, run: Run[D, M], step: int) -> Mapping[str, float]:
        """Measure a run after a number of steps, and add the figures to its curves."""
        row = self.measure(run)
        run.record(step, row)
        return row

    @abstractmethod
    def measure(self, run: Run[D, M]) -> Mapping[str, float]:
        """Return the figures of a run as it is."""

    def validation(self, run: Run[D, M]) -> float:
        """Return the score by which candidates are chosen, higher is better; no test label is read."""
        raise NotImplementedError

    def final(self, run: Run[D, M]) -> Run[D, M]:
        """Return the run to test: the chosen one, or one trained again on more data."""
        return run

    @abstractmethod
    def outcome(self, run: Run[D, M], note: dict[str, Any]) -> Outcome:
        """Return the outcome; ``note`` lists the settings that were tried, for the receipt."""

    def found(
        self,
        run: Run[D, M],
        *,
        metrics: Mapping[str, float],
        predictions: Mapping[str, NDArray[Any]],
        split: str,
        tables: Mapping[str, NDArray[Any]] | None = None,
        series: Mapping[str, Mapping[str, list[float]]] | None = None,
        **notes: Any,
    ) -> Outcome:
        """Return an outcome.

        Args:
            run: the tested run; its notes go into the receipt. Curves need a value at every checkpoint to be kept.
            metrics: name -> figure.
            predictions: name -> predictions on the test set.
            split: identity of the test examples.
            tables: further arrays.
            series: plots.
            notes: arguments of :func:`~tlzoo.bench.receipts.receipt`.
        """
        count = len(run.curves.get("step", ()))
        return Outcome(
            metrics=metrics,
            curves={name: values for name, values in run.curves.items() if len(values) == count},
            receipt=receipt(run.method, **{**notes, **run.notes}),
            predictions={**predictions, **(tables or {}), **_asked(predictions, notes.get("items"))},
            splits=dict.fromkeys(predictions, split),
            series=series or {},
        )


def _asked(predictions: Mapping[str, NDArray[Any]], items: Any) -> dict[str, NDArray[Any]]:
    """Return labels and ids of the examples of predictions, as ``NAME#labels`` and ``NAME#ids``.

    An id is the place of an example in its raw set; episodes bring their own.
    """
    found: dict[str, NDArray[Any]] = {}
    if not isinstance(items, ExampleSet):
        return found
    for name, answers in predictions.items():
        labels = items.targets.get(name.removeprefix("test_"), items.labels)
        if len(answers) == len(items):
            found[f"{name}#ids"] = items.base[1]
            found |= {} if labels is None else {f"{name}#labels": labels}
    return found


def class_tables(name: str, scores: ClassScores, class_names: tuple[str, ...] = ()) -> dict[str, NDArray[Any]]:
    """Return the counts of each class of a prediction, and the confusion matrix of few, as arrays to be stored.

    Args:
        name: of the prediction; the arrays are called ``NAME#counts``, ``NAME#confusion`` and ``NAME#names``.
        scores: that counted its answers.
        class_names: of all classes, where they have names.
    """
    tables: dict[str, NDArray[Any]] = {f"{name}#{what}": table for what, table in scores.tables().items()}
    if class_names:
        tables[f"{name}#names"] = np.array([class_names[index] for index in tables[f"{name}#counts"][:, 0]])
    return tables


def logged_figures(module: pl.LightningModule) -> dict[str, float]:
    """Return the last figures that training logged."""
    return {name: float(v) for name, v in module.trainer.callback_metrics.items() if name.startswith("train/")}


def example_figures(answers: torch.Tensor, examples: ExampleSet, metric: str) -> dict[str, NDArray[Any]]:
    """Return the figure (N,) of each test example, as a prediction to be stored, and what it shows if that is known.

    Args:
        answers: (N,) classes.
        examples: the labelled test set; its attribute ``concept`` says which examples show the same thing.
        metric: ``accuracy`` or ``balanced_accuracy``, the mean of the figures; others are no mean over examples, and
            nothing is returned.
    """
    labels = examples.labels
    if labels is None or not len(labels) or labels.min() < 0 or metric not in ("accuracy", "balanced_accuracy"):
        return {}
    right = (answers.cpu().numpy() == labels).astype(np.float64)
    if metric == "balanced_accuracy":
        counts = np.bincount(labels)
        right *= len(labels) / (np.count_nonzero(counts) * counts[labels])
    concepts = examples.attributes.get("concept")
    clusters = {} if concepts is None else {EXAMPLE_CLUSTERS: np.array([f"concept {each}" for each in concepts])}
    return {EXAMPLE_FIGURES: right.astype(np.float32), **clusters}


def trained_parameters(module: nn.Module) -> int:
    """Count the parameters of a module that are trained."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
