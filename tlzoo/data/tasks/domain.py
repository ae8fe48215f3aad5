"""Domain adaptation and confusion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.labels import value_matrix
from tlzoo.randomness import Stream, numpy_generator
from tlzoo.spelling import is_line
from tlzoo.types import Sees

__all__ = ["DomainTask", "DomainTrainingData"]

Metric = Literal["accuracy", "balanced_accuracy", "macro_accuracy", "r2"]

_SHOT_SEED = (0, 7)


@dataclass(frozen=True, kw_only=True, eq=False)
class DomainTrainingData:
    """What a domain method sees: training sets only, with labels as declared.

    ``shots`` are labelled for every method: the task shows them, and modules learn from them.
    """

    source: ExampleSet
    target: ExampleSet
    shots: ExampleSet | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DomainTask(Task):
    """Domain adaptation and confusion: labelled source, unlabelled target, test on the target.

    Attributes:
        source_train: labelled source examples, empty if there is no source; with several sources, ``domains`` holds
            their numbers.
        source_test: held-out source examples; may be empty.
        target_train: target examples whose labels methods do not see; all, some or none may be known.
        target_test: test examples; without labels, there are only predictions.
        metric: the main metric, see :class:`tlzoo.scoring.ClassScores`; of a regression ``"r2"``, see
            :class:`tlzoo.scoring.RegressionScores`.
        value_names: in a regression, the names of the T real-numbered targets, which are the labels (N, T) of the sets
            (:class:`~tlzoo.data.ExampleSet` with ``regression=True``), and there are no class names; otherwise empty.
        unknown: in open-set tasks, the last class, for target examples of no source class; otherwise None.
        shots: in semi-supervised tasks, a few target training examples with labels for every method; otherwise None.
        source_names: names of several sources in the order of their ``domains``; otherwise empty.
        target_names: names of several targets in the order of their ``domains``; otherwise empty.
        mirrored: whether a mirrored item has the same class, so that augmented views may be mirrored.
        transductive: whether methods train on the inputs that they are tested on, as published tables do.
        source_draw: source examples a class that every run draws to train on; 0 for all.
    """

    kind: ClassVar[str] = "domain"
    # class names and labels say what is unknown, and what is measured does not depend on mirroring
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset({"unknown", "mirrored"})
    _not_if_empty: ClassVar[frozenset[str]] = frozenset(
        {"shots", "source_names", "target_names", "transductive", "source_draw", "value_names"}
    )
    _labelled: ClassVar[frozenset[str]] = frozenset({"source_train", "source_test", "shots"})
    _partly_labelled: ClassVar[frozenset[str]] = frozenset({"target_train"})
    _may_be_empty: ClassVar[frozenset[str]] = frozenset({"source_train", "source_test"})
    source_train: ExampleSet
    source_test: ExampleSet
    target_train: ExampleSet
    target_test: ExampleSet
    metric: Metric = "accuracy"
    unknown: int | None = None
    shots: ExampleSet | None = None
    source_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    mirrored: bool = False
    transductive: bool = False
    source_draw: int = 0
    value_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.value_names and self.metric == "accuracy":
            object.__setattr__(self, "metric", "r2")  # the default of a regression
        super().__post_init__()
        if self.regression != (self.metric == "r2"):
            kind = "a regression, which is measured by r2" if self.regression else "a task of classes"
            raise InputError(f"{self.name} is {kind}; metric={self.metric!r} does not fit")
        if self.regression and (self.class_names or self.unknown is not None or self.shots is not None):
            raise InputError(f"{self.name} has value_names, and so no class names, no unknown class and no shots")
        if len(set(self.value_names)) < len(self.value_names) or not all(map(is_line, self.value_names)):
            raise InputError(f"{self.name}: value_names {self.value_names}; expected different names in one line each")

    @property
    def regression(self) -> bool:
        """Whether the labels are real numbers."""
        return bool(self.value_names)

    @property
    def num_outputs(self) -> int:
        """The width of what a network answers: a score for each class, or a number for each target."""
        return len(self.value_names) or self.num_classes

    @property
    def value_ranges(self) -> tuple[float, ...]:
        """The largest less the smallest known value of each target of a regression; 1 for a constant one."""
        known = [each.labels for each in self.sets().values() if each.labels is not None and len(each)]
        spans = np.nanmax(np.concatenate(known), axis=0) - np.nanmin(np.concatenate(known), axis=0)
        return tuple(float(span) or 1.0 for span in spans)

    def _check_labels(self, name: str, examples: ExampleSet) -> None:
        if not self.regression:
            super()._check_labels(name, examples)
            return
        what = f"{self.name}: {name} labels"
        if not examples.regression:
            raise InputError(
                f"{what} are classes; of the regression targets {', '.join(self.value_names)} give an "
                "ExampleSet with regression=True"
            )
        value_matrix(
            examples.labels, num_values=len(self.value_names), complete=name not in self._partly_labelled, what=what
        )

    def training_data(self, sees: Collection[Sees], *, by: str) -> DomainTrainingData:
        """Return the training sets as ``by``, a method that declares ``sees``, may see them."""
        whole = DomainTrainingData(
            source=restricted(self.source_train, by=by, labels=Sees.SOURCE_LABELS in sees),
            target=restricted(self.target_train, by=by, labels=Sees.TARGET_LABELS in sees),
            shots=None if self.shots is None else restricted(self.shots, by=by, labels=True),
        )
        return close(whole, {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}, sees, by=by)

    def holding_out(self, share: float, *, seed: int) -> tuple[Self, ExampleSet]:
        """Return the task without a share of each source domain's training examples, drawn by ``seed``, and these.

        Raises:
            ValueError: a domain has fewer than two examples.
        """
        size, domains = len(self.source_train), self.source_train.domains
        domains = np.zeros(size, dtype=np.int64) if domains is None else domains
        drawn = [np.arange(0)]
        for domain in np.unique(domains):
            places = np.flatnonzero(domains == domain)
            if len(places) < 2:
                raise InputError(f"source domain {domain} of {self.name} has one example; holding out takes two")
            order = numpy_generator(seed, Stream.HELD_OUT, int(domain)).permutation(places)
            drawn.append(order[: max(int(share * len(places)), 1)])
        chosen = np.sort(np.concatenate(drawn))
        rest = np.setdiff1d(np.arange(size), chosen)
        return replace(self, source_train=self.source_train.subset(rest)), self.source_train.subset(chosen)

    def without_source(self) -> Self:
        """Return the task without source examples, for methods that adapt a source model."""
        nobody = np.empty(0, dtype=np.int64)
        return replace(self, source_train=self.source_train.subset(nobody), source_test=self.source_test.subset(nobody))

    def literature(self, *, source_draw: int = 0) -> Self:
        """Return the task of published tables: trained on both whole domains, tested on the whole target.

        Test inputs are seen in training, so figures are not those of new examples; receipts and tables say so.

        Args:
            source_draw: source examples a class that every run draws, or all of a class that has fewer; 0 for all.

        Raises:
            ValueError: the task has shots or several domains a side, or is one already.
        """
        if self.shots is not None or self.transductive or self.source_names or self.target_names or self.regression:
            raise InputError(f"{self.name} has no protocol of the literature beside its own; load it without suffixes")
        target = ExampleSet.pooled([self.target_train, self.target_test]).without_domains()
        return replace(
            self,
            source_train=ExampleSet.pooled([self.source_train, self.source_test]).without_domains(),
            source_test=self.source_test.subset(np.empty(0, dtype=np.int64)),
            target_train=target,
            target_test=target,
            transductive=True,
            source_draw=source_draw,
        )

    def drawn(self, *, seed: int) -> Self:
        """Return the task with the ``source_draw`` source examples a class that a run of ``seed`` trains on."""
        if not self.source_draw:
            return self
        random = numpy_generator(seed, Stream.SOURCE_DRAW)
        assert self.source_train.labels is not None
        order = random.permutation(len(self.source_train))
        classes = self.source_train.labels[order]
        kept = [order[classes == label][: self.source_draw] for label in range(self.num_classes)]
        return replace(self, source_train=self.source_train.subset(np.sort(np.concatenate(kept))))

    def with_target_shots(self, shots: int, *, seed: int) -> Self:
        """Return the task with at most ``shots`` target training examples per class, drawn by ``seed``."""
        return replace(self, target_train=self.target_train.subset(self.target_shots(shots, seed=seed)))

    def target_shots(self, shots: int, *, seed: int) -> NDArray[np.int64]:
        """Return the indices of at most ``shots`` target training examples per class; more shots hold the fewer."""
        check_counts(shots=shots)
        return self._drawn(shots, numpy_generator(seed, Stream.TARGET_SHOTS))

    def semi_supervised(self, shots: int, *, seed: int | None = None) -> Self:
        """Return the task with ``shots`` labelled target training examples per class, or fewer if a class has fewer.

        They leave ``target_train``; the rest stays unlabelled. Without a ``seed`` the draw is fixed, like the published
        lists, so all methods and seeds learn from the same examples. Smaller draws are subsets of larger ones. Classes
        that the source lacks get none. Source: Saito et al., ICCV 2019, https://arxiv.org/abs/1904.06487.

        Raises:
            ValueError: ``shots`` is below 1, the task already has shots, there are no labels, or no example is left.
        """
        if shots < 1 or self.shots is not None:
            raise InputError(f"{shots} shots of {self.name}; expected at least one, and of a task without shots")
        fixed = np.random.default_rng(_SHOT_SEED)
        chosen = self._drawn(shots, fixed if seed is None else numpy_generator(seed, Stream.TARGET_SHOTS))
        assert self.target_train.labels is not None
        assert self.source_train.labels is not None
        chosen = chosen[np.isin(self.target_train.labels[chosen], self.source_train.labels)]
        rest = np.setdiff1d(np.arange(len(self.target_train)), chosen)
        if not len(rest):
            raise InputError(f"{shots} shots leave {self.name} no unlabelled target example; draw fewer")
        return replace(self, shots=self.target_train.subset(chosen), target_train=self.target_train.subset(rest))

    @property
    def shots_per_class(self) -> int:
        """The largest number of shots of a class; 0 without shots."""
        return 0 if self.shots is None or self.shots.labels is None else int(np.bincount(self.shots.labels).max())

    def _drawn(self, shots: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the sorted indices of at most ``shots`` target training examples per class."""
        labels = self.target_train.labels
        if self.regression:
            raise InputError(f"{self.name} is a regression, and shots are counted by class; draw a subset of your own")
        if labels is None:
            raise InputError(f"{self.name} has no target labels to draw shots from")
        order = random.permutation(len(labels))
        return np.sort(np.concatenate([order[labels[order] == c][:shots] for c in range(self.num_classes)]))
