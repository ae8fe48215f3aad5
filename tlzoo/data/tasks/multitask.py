"""Several targets an input."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.types import Sees

__all__ = ["MultitaskTask", "MultitaskView", "Target"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of a multitask set: ``classes`` > 0 for classification, 0 for regression."""

    classes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class MultitaskView:
    """What a multitask weighting is given."""

    train: ExampleSet
    validation: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False)
class MultitaskTask(Task):
    """Several targets an input, in ``ExampleSet.targets``; -1 (classes) or NaN (regression) where missing."""

    kind: ClassVar[str] = "multitask"
    targets: Mapping[str, Target]
    train: ExampleSet
    validation: ExampleSet
    test: ExampleSet

    def view(self, sees: Collection[Sees], *, by: str) -> MultitaskView:
        """Return the training sets as ``by``, a method that declares ``sees``, may see them."""
        labels = Sees.TARGET_LABELS in sees
        whole = MultitaskView(
            train=restricted(self.train, by=by, labels=False, targets=labels),
            validation=restricted(self.validation, by=by, labels=False, targets=True),
        )
        return close(whole, {"train": Sees.TARGET_INPUTS, "validation": Sees.VALIDATION_LABELS}, sees, by=by)
