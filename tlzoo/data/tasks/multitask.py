"""Several targets an input."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.types import Sees

__all__ = ["Kind", "MultitaskTask", "MultitaskView", "Target"]


Kind = Literal["class", "value", "ordinal", "dense"]


_CLASSES = {"class": (1, sys.maxsize), "value": (0, 0), "ordinal": (2, sys.maxsize), "dense": (0, sys.maxsize)}
"""Kind -> how few and how many classes it may have."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of a multitask set.

    Attributes:
        classes: > 0 for classification, 0 for a value.
        kind: ``"class"`` or ``"value"``, which of them follows from ``classes``; ``"ordinal"``: classes in order;
            ``"dense"``: a class or value at every position, labels (N, H, W).
    """

    classes: int
    kind: Kind | None = None

    def __post_init__(self) -> None:
        if self.kind is None:
            object.__setattr__(self, "kind", "class" if self.classes else "value")
        least, most = _CLASSES.get(str(self.kind), (1, 0))
        if not least <= self.classes <= most:
            raise ValueError(
                f"{self.classes} classes for a target of kind {self.kind!r}; expected one of {', '.join(_CLASSES)}, "
                "with classes for all but values"
            )

    def __repr__(self) -> str:
        # part of a task's identity: what follows from the classes is not said
        usual = self.kind == ("class" if self.classes else "value")
        return f"Target(classes={self.classes}{'' if usual else f', kind={self.kind!r}'})"


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
