"""Zero-shot and generalized zero-shot learning."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.errors import InputError
from tlzoo.spelling import nearest
from tlzoo.types import Sees

__all__ = ["ZeroShotTask", "ZeroShotTrainingData"]

_ALWAYS = ("description", "name")
_CLASSES_OF = {
    "train": "seen",
    "validation": "held_out",
    "test": "unseen",
    "test_seen": "seen or held_out",
    "development": "unseen",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ZeroShotTrainingData:
    """What a compatibility sees and is fitted on.

    Attributes:
        train: examples of seen classes, with labels as indices into ``class_embeddings``.
        class_embeddings: (seen, A) embeddings of the seen classes' descriptions.
        unseen_embeddings: (unseen, A), for methods that declare UNSEEN_DESCRIPTIONS.
    """

    train: ExampleSet
    class_embeddings: NDArray[np.float32]
    unseen_embeddings: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ZeroShotTask(Task):
    """Zero-shot: train on seen classes (text tasks: on none), then predict unseen classes, or all classes.

    Labels of all sets are indices into ``class_names``.

    Attributes:
        descriptions: one text per class, which ``embeddings`` encodes.
        seen: class indices with training examples; empty if nothing is trained.
        held_out: class indices that play unseen while settings are chosen; may be empty.
        unseen: class indices of the test.
        train: examples of ``seen``; None for text tasks.
        validation: examples of ``held_out``, or None.
        test: examples of ``unseen``.
        test_seen: test examples of ``seen``; with it, the task is generalized zero-shot.
        wordings: other texts that describe the classes, by kind of text, one per class; ``"description"``
            and ``"name"`` (``class_names``) are there in any case.
        embeddings: (classes, A) encoded descriptions, set by the harness; or the attributes of the classes.
        development: where nothing is trained, labelled examples of the candidates apart from the test: what is chosen
            on them (prompts, settings) has seen VALIDATION_LABELS. No method is given them.

    Raises:
        ValueError: classes without description or with the same one, seen and unseen ones that overlap, examples of
            other classes than those, embeddings that do not fit or are not finite.
    """

    kind: ClassVar[str] = "zeroshot"
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset({"embeddings", "development"})
    _labelled: ClassVar[frozenset[str]] = frozenset({"train", "validation", "test", "test_seen", "development"})
    descriptions: tuple[str, ...]
    seen: NDArray[np.int64]
    held_out: NDArray[np.int64]
    unseen: NDArray[np.int64]
    test: ExampleSet
    train: ExampleSet | None = None
    validation: ExampleSet | None = None
    test_seen: ExampleSet | None = None
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embeddings: NDArray[np.float32] | None = None
    development: ExampleSet | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"seen": self.seen, "held_out": self.held_out, "unseen": self.unseen}
        for one, other in itertools.combinations(kinds, 2):
            if len(both := np.intersect1d(kinds[one], kinds[other])):
                raise InputError(
                    f"{self.name}: classes {self._spelled(both)} are both {one} and {other}; a class is one of them"
                )
        for kind, classes in kinds.items():
            if len(np.unique(classes)) < len(classes) or not np.isin(classes, np.arange(self.num_classes)).all():
                raise InputError(
                    f"{self.name}: {kind} classes {classes.tolist()}; expected each once, out of {self.num_classes}"
                )
        kinds["seen or held_out"] = np.union1d(self.seen, self.held_out)
        for part, kind in _CLASSES_OF.items():
            self._check_classes(getattr(self, part), kinds[kind], part=part, kind=kind)
        for kind in (*_ALWAYS, *self.wordings):
            self._check_texts(kind)
        if self.embeddings is not None:
            self._check_embeddings(self.embeddings)

    def texts(self, kind: str = "description") -> tuple[str, ...]:
        """Return one text a class: its ``description``, its ``name``, or one of the ``wordings``.

        Raises:
            ValueError: there is no such kind of text; the nearest are in the message.
        """
        known = {**self.wordings, "description": self.descriptions, "name": self.class_names}
        if kind not in known:
            raise InputError(f"{self.name}: {nearest(kind, known, kind='wording')}")
        return known[kind]

    @property
    def checksum(self) -> str:
        """The identity of the data, the split and everything that the protocol fixes, including the development set."""
        if self.development is None:
            return super().checksum
        return content_hash(super().checksum, self.development.checksum, self.development.labels)

    @property
    def candidates(self) -> NDArray[np.int64]:
        """Indices of the test's candidate classes, ascending: the unseen ones; if generalized, all."""
        if self.test_seen is None:
            return self.unseen
        return np.union1d(np.union1d(self.seen, self.held_out), self.unseen)

    def rehearsal(self) -> Self:
        """Return the task of which the held-out classes are the unseen ones: settings are chosen on it.

        It knows nothing of the unseen classes. Where the task is generalized, about a fifth of the training examples of
        each seen class (the first of a class, the second of the next ...) are taken out and tested on.

        Raises:
            ValueError: there are no held-out classes.
        """
        if self.train is None or self.validation is None:
            raise InputError(f"{self.name} has no training and held-out classes to rehearse on")
        train, test_seen = self.train, None
        if self.test_seen is not None:
            assert train.labels is not None
            out = _every_fifth(train.labels)
            train, test_seen = train.subset(~out), train.subset(out)
        return replace(
            self,
            held_out=np.empty(0, dtype=np.int64),
            unseen=self.held_out,
            train=train,
            validation=None,
            test=self.validation,
            test_seen=test_seen,
        )

    def on_development(self) -> Self:
        """Return the task that is tested on the development set: prompts and settings are chosen on it.

        Raises:
            ValueError: there is none.
        """
        if self.development is None:
            raise InputError(
                f"{self.name} has neither held-out classes nor a development set to choose on; give settings instead "
                "of candidates"
            )
        return replace(self, test=self.development, development=None)

    def places(self, labels: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each label (N,) among some classes (C,), in whatever order they stand; -1 without one."""
        places = np.full(self.num_classes + 1, -1, dtype=np.int64)  # the last entry is that of a missing label, -1
        places[classes] = np.arange(len(classes))
        return places[labels]

    def _check_classes(self, examples: ExampleSet | None, classes: NDArray[np.int64], *, part: str, kind: str) -> None:
        if examples is None or examples.labels is None:
            return
        if len(others := np.setdiff1d(examples.labels, [*classes, -1])):
            raise InputError(
                f"{self.name}: {part} has examples of {self._spelled(others)}, which {kind} does not name; leave them "
                "out, or name the class"
            )

    def _check_texts(self, kind: str) -> None:
        texts = self.texts(kind)
        if len(texts) != self.num_classes:
            raise InputError(f"{self.name}: {len(texts)} texts of kind {kind!r} for {self.num_classes} classes")
        if empty := [place for place, text in enumerate(texts) if not text.strip()]:
            raise InputError(f"{self.name}: classes {self._spelled(empty)} have no {kind}; each class needs one")
        if twice := [text for text, count in Counter(texts).items() if count > 1]:
            same = [place for place, text in enumerate(texts) if text == twice[0]]
            raise InputError(
                f"{self.name}: classes {self._spelled(same)} have the same {kind} {twice[0]!r}; "
                "nothing could tell them apart"
            )

    def _check_embeddings(self, embeddings: NDArray[np.float32]) -> None:
        if embeddings.ndim != 2 or len(embeddings) != self.num_classes:
            raise InputError(
                f"{self.name}: embeddings of shape {embeddings.shape} for {self.num_classes} classes; "
                "expected a row each"
            )
        if len(bad := np.flatnonzero(~np.isfinite(embeddings).all(axis=1))):
            raise InputError(f"{self.name}: NaN or Inf in the embeddings of classes {self._spelled(bad)}; repair them")

    def _spelled(self, classes: Iterable[int]) -> str:
        places = list(classes)
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        return ", ".join(f"{self.class_names[place]!r} ({place})" for place in places[:3]) + more

    def with_held_out_seen(self) -> Self:
        """Return the task with the held-out classes among the seen ones: for the fit after settings are chosen.

        Raises:
            ValueError: there are no held-out classes, or nothing is trained.
        """
        if self.train is None or self.validation is None:
            raise InputError(f"{self.name} has no training and held-out classes to join")
        return replace(
            self,
            seen=np.union1d(self.seen, self.held_out),
            held_out=np.empty(0, dtype=np.int64),
            train=self.train.joined(self.validation),
            validation=None,
        )

    def training_data(self, sees: Collection[Sees], *, by: str) -> ZeroShotTrainingData:
        """Return training examples and seen descriptions as ``by`` may see them, with renumbered labels."""
        if self.embeddings is None:
            raise InputError(f"{self.name}: class descriptions are not encoded yet; set embeddings first")
        if self.train is None and Sees.SOURCE_INPUTS in sees:
            raise InputError(f"{self.name} has no training examples, which {by} wants; choose an untrained method")
        examples = self.test.subset(np.empty(0, dtype=np.int64)) if self.train is None else self.train
        assert examples.labels is not None  # zero-shot sets are labelled: the test needs it
        labels = self.places(examples.labels, self.seen)
        whole = ZeroShotTrainingData(
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


def _every_fifth(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which examples (N,) to take out: a fifth of each class, of small ones one if there are two."""
    out = np.zeros(len(labels), dtype=bool)
    for turn, label in enumerate(np.unique(labels)):
        places = np.flatnonzero(labels == label)
        if len(places) > 1:
            count = max(len(places) // 5, 1)
            out[np.roll(places, -turn)[:count]] = True
    return out
