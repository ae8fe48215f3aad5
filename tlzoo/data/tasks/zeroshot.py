"""Zero-shot and generalized zero-shot learning."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.types import Sees

__all__ = ["ZeroShotTask", "ZeroShotView"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ZeroShotView:
    """What a compatibility is given to fit on.

    Attributes:
        train: examples of seen classes, labels counted within ``class_embeddings``.
        class_embeddings: (seen, A) embeddings of the seen classes' descriptions.
        unseen_embeddings: (unseen, A), for methods that declare UNSEEN_DESCRIPTIONS.
    """

    train: ExampleSet
    class_embeddings: NDArray[np.float32]
    unseen_embeddings: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class ZeroShotTask(Task):
    """Zero-shot: train on seen classes (text tasks: on none), answer among the unseen, or among all.

    Labels of all sets are indices into ``class_names``.

    Attributes:
        descriptions: one text a class, what ``embeddings`` encodes.
        seen: class indices with training examples; empty where nothing is trained.
        held_out: class indices that play unseen while settings are chosen; empty where there are none.
        unseen: class indices of the test.
        train: examples of ``seen``; None for text tasks.
        validation: examples of ``held_out``, or None.
        test: examples of ``unseen``.
        test_seen: test examples of ``seen``; with it, the task is generalized zero-shot.
        embeddings: (classes, A) encoded descriptions, set by the harness.
    """

    kind: ClassVar[str] = "zeroshot"
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset({"embeddings"})
    descriptions: tuple[str, ...]
    seen: NDArray[np.int64]
    held_out: NDArray[np.int64]
    unseen: NDArray[np.int64]
    test: ExampleSet
    train: ExampleSet | None = None
    validation: ExampleSet | None = None
    test_seen: ExampleSet | None = None
    embeddings: NDArray[np.float32] | None = None

    def with_held_out_seen(self) -> Self:
        """Return the task with the held-out classes among the seen ones: for the fit after settings are chosen.

        Raises:
            ValueError: there are no held-out classes, or nothing is trained.
        """
        if self.train is None or self.validation is None:
            raise ValueError(f"{self.name} has no training and held-out classes to join")
        return replace(
            self,
            seen=np.union1d(self.seen, self.held_out),
            held_out=np.empty(0, dtype=np.int64),
            train=self.train.joined(self.validation),
            validation=None,
        )

    def view(self, sees: Collection[Sees], *, by: str) -> ZeroShotView:
        """Return training examples and seen descriptions as ``by`` may see them; labels re-counted."""
        if self.embeddings is None:
            raise ValueError(f"{self.name}: class descriptions are not encoded yet; set embeddings first")
        if self.train is None and Sees.SOURCE_INPUTS in sees:
            raise ValueError(f"{self.name} has no training examples, which {by} wants; choose an untrained method")
        examples = self.test.subset(np.empty(0, dtype=np.int64)) if self.train is None else self.train
        assert examples.labels is not None  # zero-shot sets are labelled: the test needs it
        labels = np.searchsorted(self.seen, examples.labels).astype(np.int64)
        whole = ZeroShotView(
            train=restricted(examples.with_labels(labels), by=by, labels=Sees.SOURCE_LABELS in sees),
            class_embeddings=self.embeddings[self.seen],
            unseen_embeddings=self.embeddings[self.unseen],
        )
        needed = {
            "train": Sees.SOURCE_INPUTS,
            "class_embeddings": Sees.CLASS_DESCRIPTIONS,
            "unseen_embeddings": Sees.UNSEEN_DESCRIPTIONS,
        }
        return close(whole, needed, sees, by=by)
