"""What all tasks share, and how views are cut from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, TypeVar

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.types import Sees, withheld

__all__ = ["Task", "close", "restricted"]

T = TypeVar("T")


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
    _not_if_empty: ClassVar[frozenset[str]] = frozenset()
    """Fields that came later than the first results: empty, they leave a checksum as it was."""
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
        for name in self._not_if_empty:
            if not values[name]:
                del values[name]
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


def restricted(examples: ExampleSet, *, by: str, labels: bool, targets: bool = False) -> ExampleSet:
    """Return the set without what ``by`` may not see; protocol attributes are never shown."""
    closed = ["attributes", *([] if labels else ["labels"]), *([] if targets else ["targets"])]
    return withheld(examples.detached(), *closed, why=f"{by} does not declare that it sees this")


def close(view: T, needed: Mapping[str, Sees], sees: Collection[Sees], *, by: str) -> T:
    """Return the view without the fields of which ``by``, who declares ``sees``, does not declare the need."""
    closed = [name for name, need in needed.items() if need not in sees]
    spelled = ", ".join(sorted(sees)) or "nothing"
    return withheld(view, *closed, why=f"{by} declares {spelled} only") if closed else view
