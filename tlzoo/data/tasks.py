"""What a benchmark asks: one dataclass a type of transfer learning, and the views that methods get of it.

A task holds everything, test labels included; only the harness holds a task. ``task.view(sees)`` is what a
method is given: what it does not declare raises :class:`~tlzoo.types.SupervisionError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.data.samplers import generator
from tlzoo.data.sets import ExampleSet, content_hash
from tlzoo.types import Sees, withheld

__all__ = [
    "DomainTask",
    "DomainView",
    "EpisodeTask",
    "EpisodeView",
    "MultitaskTask",
    "MultitaskView",
    "Target",
    "Task",
    "ZeroShotTask",
    "ZeroShotView",
]

Metric = Literal["accuracy", "balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Base of tasks.

    Attributes:
        name: what :func:`tlzoo.load_task` was asked for.
        class_names: one a class index; empty where targets have names of their own.
        revision: raised when the protocol's numbers change; part of a cell's hash.
        sources: names in ``tlzoo data list`` that it is made of.
    """

    kind: ClassVar[str]
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset()
    name: str
    class_names: tuple[str, ...] = ()
    revision: int = 1
    sources: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Count the classes."""
        return len(self.class_names)

    def sets(self) -> dict[str, ExampleSet]:
        """Return every example set of the task by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, ExampleSet)}

    @property
    def checksum(self) -> str:
        """Identity of the data, the split and all that the protocol fixes; not of features computed from it."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self._not_in_checksum}
        return content_hash(*[part for name in sorted(values) for part in (name, *_hashable(values[name]))])

    def map_sets(self, change: Callable[[ExampleSet], ExampleSet]) -> Self:
        """Return the task with every example set changed: images replaced by their cached features."""
        changed: dict[str, Any] = {name: change(examples) for name, examples in self.sets().items()}
        return replace(self, **changed)


def _hashable(value: Any) -> list[Any]:
    """Return the parts of a field that :func:`content_hash` takes."""
    if isinstance(value, ExampleSet):
        columns = {"labels": value.labels, "domains": value.domains, **value.targets}
        return [value.checksum, *[part for name in sorted(columns) for part in (name, columns[name])]]
    if isinstance(value, Mapping):
        return [part for name in sorted(value) for part in (name, *_hashable(value[name]))]
    return [value]


def _restricted(examples: ExampleSet, *, by: str, labels: bool, targets: bool = False) -> ExampleSet:
    """Return the set without what ``by`` may not see; protocol attributes are never shown."""
    closed = ["attributes", *([] if labels else ["labels"]), *([] if targets else ["targets"])]
    return withheld(examples.detached(), *closed, why=f"{by} does not declare that it sees this")


def _closed_fields(needed: Mapping[str, Sees], sees: Collection[Sees]) -> list[str]:
    return [name for name, need in needed.items() if need not in sees]


@dataclass(frozen=True, kw_only=True, eq=False)
class DomainView:
    """What a domain method is given: training sets only, labels as declared."""

    source: ExampleSet
    target: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False)
class DomainTask(Task):
    """Domain adaptation and confusion: labelled source, unlabelled target, test on the target."""

    kind: ClassVar[str] = "domain"
    source_train: ExampleSet
    source_test: ExampleSet
    target_train: ExampleSet
    target_test: ExampleSet
    metric: Metric = "accuracy"

    def view(self, sees: Collection[Sees], *, by: str) -> DomainView:
        """Return the training sets as ``by``, a method that declares ``sees``, may see them."""
        whole = DomainView(
            source=_restricted(self.source_train, by=by, labels=Sees.SOURCE_LABELS in sees),
            target=_restricted(self.target_train, by=by, labels=Sees.TARGET_LABELS in sees),
        )
        closed = _closed_fields({"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}, sees)
        return withheld(whole, *closed, why=f"{by} declares {_spelled(sees)} only") if closed else whole

    def with_target_shots(self, shots: int, *, seed: int) -> Self:
        """Return the task with at most ``shots`` target training examples a class, drawn by ``seed``."""
        labels = self.target_train.labels
        if labels is None:
            raise ValueError(f"{self.name} has no target labels to draw shots from")
        order = generator(seed, 7).permutation(len(labels))
        chosen = np.concatenate([order[labels[order] == c][:shots] for c in range(self.num_classes)])
        return replace(self, target_train=self.target_train.subset(np.sort(chosen)))


def _spelled(sees: Collection[Sees]) -> str:
    return ", ".join(sorted(sees)) or "nothing"


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
            train=_restricted(self.train, by=by, labels=False, targets=labels),
            validation=_restricted(self.validation, by=by, labels=False, targets=True),
        )
        closed = _closed_fields({"train": Sees.TARGET_INPUTS, "validation": Sees.VALIDATION_LABELS}, sees)
        return withheld(whole, *closed, why=f"{by} declares {_spelled(sees)} only") if closed else whole


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeView:
    """What an episode classifier is given beside its support sets."""

    base: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeTask(Task):
    """One-shot and few-shot: classes split into base, validation and novel; episodes come from novel.

    ``cross_domain`` episodes take a class's support from one domain (``ExampleSet.domains``), drawn for each class,
    and its queries from all others.
    """

    kind: ClassVar[str] = "episode"
    base: ExampleSet
    validation: ExampleSet
    novel: ExampleSet
    cross_domain: bool = False
    way: int = 5
    shot: int = 1
    query: int = 6

    def view(self, sees: Collection[Sees], *, by: str) -> EpisodeView:
        """Return the base set as ``by``, a method that declares ``sees``, may see it."""
        whole = EpisodeView(base=_restricted(self.base, by=by, labels=Sees.SOURCE_LABELS in sees))
        closed = _closed_fields({"base": Sees.SOURCE_INPUTS}, sees)
        return withheld(whole, *closed, why=f"{by} declares {_spelled(sees)} only") if closed else whole

    def episodes(
        self, split: Literal["base", "validation", "novel"] = "novel", *, seed: int, **shape: int
    ) -> EpisodeSampler:
        """Return the sampler of episodes from one split.

        Args:
            split: which classes.
            seed: an episode depends on (seed, step) alone.
            shape: ``way``, ``shot`` or ``query`` other than the task's.

        Raises:
            ValueError: the split has no labels, or too few classes with enough examples.
        """
        examples: ExampleSet = getattr(self, split)
        if examples.labels is None:
            raise ValueError(f"{split} of {self.name} has no labels; episodes are drawn by class")
        shape = {"way": self.way, "shot": self.shot, "query": self.query, **shape}
        domains = examples.domains if self.cross_domain else None
        return EpisodeSampler(examples.labels, seed=seed, domains=domains, **shape)


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
        closed = _closed_fields(
            {
                "train": Sees.SOURCE_INPUTS,
                "class_embeddings": Sees.CLASS_DESCRIPTIONS,
                "unseen_embeddings": Sees.UNSEEN_DESCRIPTIONS,
            },
            sees,
        )
        if self.train is None and "train" not in closed:
            raise ValueError(f"{self.name} has no training examples, which {by} wants; choose an untrained method")
        examples = self.test.subset(np.empty(0, dtype=np.int64)) if self.train is None else self.train
        assert examples.labels is not None  # zero-shot sets are labelled: the test needs it
        labels = np.searchsorted(self.seen, examples.labels).astype(np.int64)
        whole = ZeroShotView(
            train=_restricted(examples.with_labels(labels), by=by, labels=Sees.SOURCE_LABELS in sees),
            class_embeddings=self.embeddings[self.seen],
            unseen_embeddings=self.embeddings[self.unseen],
        )
        return withheld(whole, *closed, why=f"{by} declares {_spelled(sees)} only") if closed else whole
