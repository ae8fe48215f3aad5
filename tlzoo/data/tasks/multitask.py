"""Multitask learning: several targets per input."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.errors import InputError
from tlzoo.labels import target_labels
from tlzoo.spelling import is_line
from tlzoo.types import Sees

__all__ = ["Kind", "MultitaskTask", "MultitaskTrainingData", "Target", "mean_metric"]


Kind = Literal["class", "value", "ordinal", "dense", "normals"]


_CLASSES = {
    "class": (1, sys.maxsize),
    "value": (0, 0),
    "ordinal": (2, sys.maxsize),
    "dense": (0, sys.maxsize),
    "normals": (0, 0),
}
"""Kind -> the smallest and largest number of classes."""


_USUAL: dict[str, Any] = {"names": (), "center": 0.0, "spread": 1.0}
"""What a target has unless it says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of a multitask set.

    Attributes:
        classes: > 0 for classification, 0 for a value.
        kind: ``"class"`` or ``"value"``, which follows from ``classes``; ``"ordinal"``: ordered classes; ``"dense"``: a
            class or value at every position, with labels (N, H, W); ``"normals"``: a unit vector at every position,
            with labels (N, 3, H, W).
        names: one per class; empty if they have none.
        center: of values: what the network's answer starts at.
        spread: of values: their unit for the network, which learns (value - center) / spread; answers are values.
    """

    classes: int
    kind: Kind | None = None
    names: tuple[str, ...] = ()
    center: float = 0.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        if self.kind is None:
            object.__setattr__(self, "kind", "class" if self.classes else "value")
        least, most = _CLASSES.get(str(self.kind), (1, 0))
        if not least <= self.classes <= most:
            raise InputError(
                f"{self.classes} classes for a target of kind {self.kind!r}; expected one of {', '.join(_CLASSES)}, "
                "with classes for all but values and normals"
            )
        object.__setattr__(self, "names", tuple(self.names))
        if not (math.isfinite(self.center) and 0 < self.spread < math.inf):
            raise InputError(f"a target with center {self.center} and spread {self.spread}; expected a spread above 0")
        if self.names and len(self.names) != self.classes:
            raise InputError(f"{len(self.names)} names for {self.classes} classes of a target; expected one each")

    def __repr__(self) -> str:
        # part of a task's identity: what follows from the classes is not said
        usual = self.kind == ("class" if self.classes else "value")
        told = {} if usual else {"kind": self.kind}
        told |= {name: getattr(self, name) for name, usually in _USUAL.items() if getattr(self, name) != usually}
        return f"Target(classes={self.classes}{''.join(f', {name}={value!r}' for name, value in told.items())})"


def mean_metric(targets: Mapping[str, Target]) -> str:
    """Return the name of the mean of the main metrics of several targets.

    >>> mean_metric({"kind": Target(classes=3)}), mean_metric({"kind": Target(classes=3), "age": Target(classes=0)})
    ('accuracy', 'score')
    """
    return "accuracy" if all(target.kind == "class" for target in targets.values()) else "score"


@dataclass(frozen=True, kw_only=True, eq=False)
class MultitaskTrainingData:
    """What a multitask weighting sees."""

    train: ExampleSet
    validation: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MultitaskTask(Task):
    """Several targets per input, in ``ExampleSet.targets``.

    A missing class is negative or NaN; a missing value or normal is NaN, because negative numbers are valid values.

    Raises:
        ValueError: there are no targets, a set lacks a target or all labels of one, or labels do not fit its kind; the
            message names set, target and row.
    """

    kind: ClassVar[str] = "multitask"
    targets: Mapping[str, Target]
    train: ExampleSet
    validation: ExampleSet
    test: ExampleSet

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.targets:
            raise InputError(f"{self.name} has no targets; expected name -> Target")
        if odd := [task for task in self.targets if not is_line(task)]:
            raise InputError(f"{self.name}: a target is called {odd[0]!r}; expected text in one line")
        for name, examples in self.sets().items():
            if lacking := [task for task in self.targets if task not in examples.targets]:
                raise InputError(
                    f"{self.name}: {name} has no target {lacking[0]!r}; it has {', '.join(examples.targets) or 'none'}"
                )
            columns = {task: self._column(examples, task, f"{self.name}: {name}: {task}") for task in self.targets}
            if any(column is not examples.targets[task] for task, column in columns.items()):
                object.__setattr__(self, name, replace(examples, targets={**examples.targets, **columns}))

    def _column(self, examples: ExampleSet, task: str, what: str) -> NDArray[Any]:
        """Return the labels of a target in one set, in the form of its kind."""
        given, target = examples.targets[task], self.targets[task]
        taken: NDArray[Any] = target_labels(given, kind=str(target.kind), classes=target.classes, what=what).numpy()
        if (taken < 0).all() if target.classes else np.isnan(taken).all():
            raise InputError(f"{what} has no label; leave the target out, or give labels of it")
        # at every position, small integers stay so on the way to the module, which takes labels in as well
        same = target.kind in ("dense", "normals") or (
            taken.dtype == given.dtype and np.array_equal(taken, given, equal_nan=taken.dtype.kind == "f")
        )
        return given if same else taken

    @property
    def dense(self) -> bool:
        """Whether a target has a label at every position."""
        return any(target.kind in ("dense", "normals") for target in self.targets.values())

    @property
    def metric(self) -> str:
        """The name of the main metric: the mean over targets of the metric that fits each."""
        return mean_metric(self.targets)

    def training_data(self, sees: Collection[Sees], *, by: str) -> MultitaskTrainingData:
        """Return the training sets as ``by``, a method that declares ``sees``, may see them."""
        labels = Sees.TARGET_LABELS in sees
        whole = MultitaskTrainingData(
            train=restricted(self.train, by=by, labels=False, targets=labels),
            validation=restricted(self.validation, by=by, labels=False, targets=True),
        )
        return close(whole, {"train": Sees.TARGET_INPUTS, "validation": Sees.VALIDATION_LABELS}, sees, by=by)
