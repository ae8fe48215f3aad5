"""Supervision: what a method may see, and objects from which the rest is withheld."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from tlzoo.errors import InputError, UserError

__all__ = ["Sees", "SupervisionError", "is_withheld", "withheld"]

T = TypeVar("T")


class SupervisionError(UserError, RuntimeError):
    """A method reached for data that its declaration (:class:`Sees`) does not name."""


class Sees(StrEnum):
    """What a method may see; the harness hands out exactly what a method declares."""

    SOURCE_INPUTS = "source inputs"
    SOURCE_LABELS = "source labels"
    TARGET_INPUTS = "target inputs"
    TARGET_LABELS = "target labels"
    TEST_INPUTS = "test inputs"
    CLASS_DESCRIPTIONS = "class descriptions"
    UNSEEN_DESCRIPTIONS = "unseen descriptions"
    TARGET_PRIOR = "target prior"
    VALIDATION_LABELS = "validation labels"


class _Withheld:
    """A mixin for objects with attributes that the current method may not read."""

    _closed: Mapping[str, str] = {}

    def __getattribute__(self, name: str) -> Any:
        closed = object.__getattribute__(self, "_closed")
        if name in closed:
            raise SupervisionError(closed[name])
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"<{type(self).__bases__[1].__name__} without {', '.join(sorted(self._closed))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # the type is made on the fly, where pickle does not find it
        return _restored, (type(self).__bases__[1], dict(vars(self)))


_WITHHELD_TYPES: dict[type, type] = {}


def withheld(value: T, *names: str, why: str) -> T:
    """Return a shallow copy of a dataclass whose attributes ``names`` raise :class:`SupervisionError`.

    The values are dropped, not hidden: nothing in the copy leads back to them.

    >>> import torch
    >>> from tlzoo.types import Prediction
    >>> p = Prediction(features=torch.ones(1, 2), logits=torch.ones(1, 2), labels=torch.ones(1))
    >>> withheld(p, "labels", why="dan does not declare TARGET_LABELS").labels
    Traceback (most recent call last):
    ...
    tlzoo.supervision.SupervisionError: labels: dan does not declare TARGET_LABELS

    Attributes that were already withheld keep their own reason.

    Raises:
        ValueError: a name is not an attribute, so withholding it would do nothing.
    """
    state = dict(vars(value))
    before: Mapping[str, str] = state.pop("_closed", {})
    if unknown := [name for name in names if name not in state and name not in before]:
        raise InputError(f"{type(value).__name__} has no {', '.join(unknown)}; it has {', '.join(state)}")
    base = type(value).__bases__[1] if isinstance(value, _Withheld) else type(value)
    closed = {name: f"{name}: {why}" for name in names} | dict(before)
    kept = {key: item for key, item in state.items() if key not in closed}
    restored: T = _restored(base, {"_closed": closed, **kept})
    return restored


def _restored(base: type, state: Mapping[str, Any]) -> Any:
    """Return an object of the withheld variant of ``base`` with the given attributes."""
    if base not in _WITHHELD_TYPES:
        _WITHHELD_TYPES[base] = type(f"Withheld{base.__name__}", (_Withheld, base), {})
    copy: Any = object.__new__(_WITHHELD_TYPES[base])
    for name, value in state.items():
        object.__setattr__(copy, name, value)
    return copy


def is_withheld(value: object, name: str) -> bool:
    """Return whether :func:`withheld` withheld the attribute ``name`` of an object."""
    return name in getattr(value, "_closed", ())
