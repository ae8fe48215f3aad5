"""Checks that arguments have the types that a signature declares."""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin

from tlzoo.errors import InputError

__all__ = ["check_arguments"]


def check_arguments(function: Callable[..., Any], arguments: Sequence[Any], settings: Mapping[str, Any]) -> None:
    """Check plain arguments against the annotations of a function: numbers, flags and choices.

    ``int`` takes whole numbers, and at least 1 under a name that begins with ``num_``; ``float`` takes finite numbers,
    ``bool`` True and False, a ``Literal`` its choices. Tensors, and arguments with other annotations, are not checked.

    Args:
        function: a function or a class.
        arguments: positional arguments.
        settings: keyword arguments.

    Raises:
        ValueError: an argument has another type or is out of range; it is named.

    >>> def train(num_classes: int, rate: float = 0.1, mode: Literal["paper", "code"] = "paper"): ...
    >>> check_arguments(train, [3], {"rate": 0.5})
    >>> check_arguments(train, [3], {"rate": float("nan")})
    Traceback (most recent call last):
    ...
    tlzoo.errors.InputError: rate nan; expected a finite number
    """
    try:
        bound = inspect.signature(function).bind_partial(*arguments, **settings).arguments
    except TypeError:
        return  # the call itself says what is wrong
    kinds = _kinds(function)
    for name, value in bound.items():
        if name in kinds and (expected := _unmet(name, value, kinds[name])):
            unknown = "unknown " if isinstance(value, str) and any(get_args(kind) for kind in kinds[name]) else ""
            raise InputError(f"{unknown}{name} {value!r}; expected {expected}")


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    """Return the alternatives of the annotation of each argument that all are known here."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind = parameter.annotation
        if isinstance(kind, str):
            kind = _evaluated(kind, function, name)
        options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
        known = [each in (int, float, bool, types.NoneType) or get_origin(each) is Literal for each in options]
        if all(known) and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            found[name] = options
    return found


def _evaluated(annotation: str, function: Callable[..., Any], name: str) -> Any:
    """Return the type that an annotation names where it was written; None if that is known to type checkers only."""
    owners = getattr(function, "__mro__", (function,))
    inits = [
        vars(owner)["__init__"] if isinstance(owner, type) and "__init__" in vars(owner) else owner for owner in owners
    ]
    for init in inits:
        if name in getattr(init, "__annotations__", {}):
            scope = vars(sys.modules.get(init.__module__, types.ModuleType("")))
            try:
                return eval(annotation, dict(scope))
            except (NameError, AttributeError, TypeError, SyntaxError):
                return None
    return None


def _unmet(name: str, value: Any, options: tuple[Any, ...]) -> str:
    """Return what was expected of a value that fits no option; empty if it fits one or is a tensor."""
    if hasattr(value, "__array__") and getattr(value, "ndim", 0) == 0 and not isinstance(value, Real):
        return ""  # a scalar of NumPy or torch
    expected = []
    for kind in options:
        if kind is types.NoneType:
            fits, words = value is None, "None"
        elif kind is bool:
            fits, words = isinstance(value, bool), "True or False"
        elif kind is int:
            least = 1 if name.startswith("num_") else -math.inf
            fits = _is(value, Integral) and int(value) >= least
            words = "at least 1, an integer" if least == 1 else "an integer"
        elif kind is float:
            fits = _is(value, Real) and math.isfinite(value)
            words = "a finite number"
        else:
            choices = get_args(kind)
            fits, words = value in choices, f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"
        if fits:
            return ""
        expected.append(words)
    return " or ".join(expected)


def _is(value: Any, kind: Any) -> bool:
    """Return whether a value is a number of a kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)
