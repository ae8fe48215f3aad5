"""Domain adaptation and confusion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from tlzoo.data.samplers import generator
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.types import Sees

__all__ = ["DomainTask", "DomainView"]

Metric = Literal["accuracy", "balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DomainView:
    """What a domain method is given: training sets only, labels as declared."""

    source: ExampleSet
    target: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False)
class DomainTask(Task):
    """Domain adaptation and confusion: labelled source, unlabelled target, test on the target.

    Attributes:
        source_train: labelled source examples.
        source_test: held-out source examples.
        target_train: target examples whose labels methods do not see.
        target_test: what accuracy is measured on.
        metric: what accuracy means.
        unknown: in open-set tasks the class of target examples that are of no source class, the last one; else None.
    """

    kind: ClassVar[str] = "domain"
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset({"unknown"})  # class names and labels say it
    source_train: ExampleSet
    source_test: ExampleSet
    target_train: ExampleSet
    target_test: ExampleSet
    metric: Metric = "accuracy"
    unknown: int | None = None

    def view(self, sees: Collection[Sees], *, by: str) -> DomainView:
        """Return the training sets as ``by``, a method that declares ``sees``, may see them."""
        whole = DomainView(
            source=restricted(self.source_train, by=by, labels=Sees.SOURCE_LABELS in sees),
            target=restricted(self.target_train, by=by, labels=Sees.TARGET_LABELS in sees),
        )
        return close(whole, {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}, sees, by=by)

    def without_source(self) -> Self:
        """Return the task with no source examples: what adapts a source model has nothing of it to open."""
        nobody = np.empty(0, dtype=np.int64)
        return replace(self, source_train=self.source_train.subset(nobody), source_test=self.source_test.subset(nobody))

    def with_target_shots(self, shots: int, *, seed: int) -> Self:
        """Return the task with at most ``shots`` target training examples a class, drawn by ``seed``."""
        labels = self.target_train.labels
        if labels is None:
            raise ValueError(f"{self.name} has no target labels to draw shots from")
        order = generator(seed, 7).permutation(len(labels))
        chosen = np.concatenate([order[labels[order] == c][:shots] for c in range(self.num_classes)])
        return replace(self, target_train=self.target_train.subset(np.sort(chosen)))
