"""The base of tasks and what methods see of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.errors import InputError
from tlzoo.labels import class_labels
from tlzoo.signatures import check_arguments
from tlzoo.spelling import is_line
from tlzoo.types import Sees, withheld

__all__ = ["Task", "close", "restricted"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Task:
    """Base of tasks.

    Attributes:
        name: argument of :func:`tlzoo.load_task`.
        class_names: one name per class index; empty if targets have their own names.
        revision: raised when the protocol's numbers change; part of a cell's hash.
        sources: names of its sources in ``tlzoo data list``.

    Raises:
        ValueError: the name is no text in one line, a setting is of another kind, a set is empty, sets differ in
            modality or width, a set lacks labels that it needs, or a label is missing or out of range; the message
            names set and row.
    """

    kind: ClassVar[str]
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset()
    _not_if_empty: ClassVar[frozenset[str]] = frozenset()
    """Fields added after the first results; empty ones do not change a checksum."""
    _labelled: ClassVar[frozenset[str]] = frozenset()
    """Sets that always have labels."""
    _partly_labelled: ClassVar[frozenset[str]] = frozenset()
    """Sets in which some labels may be missing; other sets have all or none."""
    _may_be_empty: ClassVar[frozenset[str]] = frozenset()
    name: str
    class_names: tuple[str, ...] = ()
    revision: int = 1
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_line(self.name):
            raise InputError(f"the name of a task is {self.name!r}; expected text in one line")
        check_arguments(type(self), [], {field.name: getattr(self, field.name) for field in fields(self)})
        sets = self.sets()
        for name, examples in sets.items():
            if not len(examples) and name not in self._may_be_empty:
                raise InputError(f"{self.name}: {name} is empty; expected at least one example")
        self._check_alike({name: examples for name, examples in sets.items() if len(examples)})
        for name, examples in sets.items():
            if examples.labels is not None:
                self._check_labels(name, examples)
            elif name in self._labelled:
                raise InputError(f"{self.name}: {name} has no labels, which the task is made of; give labels")

    def _check_labels(self, name: str, examples: ExampleSet) -> None:
        """Check the labels of a set of examples that has some."""
        if examples.regression:
            raise InputError(f"{self.name}: {name} has real numbers for labels; {type(self).__name__} takes classes")
        class_labels(
            examples.labels,
            num_classes=self.num_classes or None,
            complete=name not in self._partly_labelled,
            what=f"{self.name}: {name} labels",
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(examples)}" for name, examples in self.sets().items())
        classes = f"{len(self.class_names)} classes; " if self.class_names else ""
        return f"{type(self).__name__}({self.name!r}; {classes}examples: {{{counts}}})"

    def _check_alike(self, sets: Mapping[str, ExampleSet]) -> None:
        """Check that one network fits all sets: same modality, width of features and channels of series."""
        kinds = {name: (examples.modality, _width(examples)) for name, examples in sets.items()}
        for (one, first), (other, second) in pairwise(kinds.items()):
            if first[0] != second[0]:
                raise InputError(
                    f"{self.name}: {one} holds {first[0]} items, {other} {second[0]}; expected one modality"
                )
            if None not in (first[1], second[1]) and first[1] != second[1]:
                raise InputError(
                    f"{self.name}: {one} has {first[0]} of width {first[1]}, {other} of width {second[1]}; expected one"
                )

    @property
    def metric(self) -> str:
        """The name of the main test metric."""
        return "accuracy"

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def sets(self) -> dict[str, ExampleSet]:
        """Return all example sets of the task by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, ExampleSet)}

    def example(self, count: int = 2) -> Any:
        """Return a few raw items, as batches hold them."""
        examples = next(each for each in self.sets().values() if len(each))
        return examples.batch(np.arange(min(count, len(examples)))).inputs

    @property
    def checksum(self) -> str:
        """The identity of the data, the split and everything that the protocol fixes, but not of computed features."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self._not_in_checksum}
        for name in self._not_if_empty:
            if not values[name]:
                del values[name]
        return content_hash(*[part for name in sorted(values) for part in (name, *_hashable(values[name]))])

    def map_sets(self, change: Callable[[ExampleSet], ExampleSet]) -> Self:
        """Return the task with every example set changed, for example with cached features instead of images."""
        changed: dict[str, Any] = {name: change(examples) for name, examples in self.sets().items()}
        return replace(self, **changed)


def _width(examples: ExampleSet) -> int | None:
    """Return the width of features or of the steps of series; None if it is not known without reading."""
    raw, _, _ = examples.base
    if isinstance(raw, np.ndarray) and examples.modality in ("features", "series"):
        return int(raw.shape[-1])
    return None


def _hashable(value: Any) -> list[Any]:
    """Return the parts of a field that :func:`content_hash` takes."""
    if isinstance(value, ExampleSet):
        columns = {"labels": value.labels, "domains": value.domains, **value.targets}
        return [value.checksum, *[part for name in sorted(columns) for part in (name, columns[name])]]
    if isinstance(value, Mapping):
        return [part for name in sorted(value) for part in (name, *_hashable(value[name]))]
    return [value]


def restricted(examples: ExampleSet, *, by: str, labels: bool, targets: bool = False) -> ExampleSet:
    """Return the set without what ``by`` may not see; protocol attributes are always removed."""
    closed = ["attributes", *([] if labels else ["labels"]), *([] if targets else ["targets"])]
    return withheld(examples.detached(), *closed, why=f"{by} does not declare that it sees this")


def close(data: T, needed: Mapping[str, Sees], sees: Collection[Sees], *, by: str) -> T:
    """Return the data without the fields that ``by``, which declares ``sees``, may not see."""
    closed = [name for name, need in needed.items() if need not in sees]
    spelled = ", ".join(sorted(sees)) or "nothing"
    return withheld(data, *closed, why=f"{by} declares {spelled} only") if closed else data
