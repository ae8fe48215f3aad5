"""Checks that report errors in a batch early."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real

import torch
from torch import Tensor

from tlzoo.errors import InputError
from tlzoo.functional.precision import at_least_float32

__all__ = [
    "check_at_least",
    "check_choice",
    "check_counts",
    "check_flags",
    "check_pair",
    "check_positive",
    "check_positive_definite",
    "check_shares",
    "is_finite",
    "read_value",
    "where_not_finite",
]


def check_choice(value: str, choices: Iterable[str], *, what: str) -> None:
    """Check that a variant has a known name.

    Raises:
        ValueError: it has not; the message lists the choices.

    >>> check_choice("mean", ("mean", "legacy"), what="bandwidth")
    """
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}; expected {', '.join(choices[:-1])} or {choices[-1]}")


def check_pair(source: Tensor, target: Tensor, *, least: int = 1, what: str = "features") -> tuple[Tensor, Tensor]:
    """Check that source (N, D) and target (M, D) can be compared, and return them in float32 at least.

    Raises:
        ValueError: they are not two matrices, differ in width, or one has fewer than ``least`` rows.
    """
    if source.ndim != 2 or target.ndim != 2:
        raise InputError(
            f"source and target {what} have shapes {tuple(source.shape)} and {tuple(target.shape)}; "
            "expected (N, D) and (M, D)"
        )
    if source.shape[1] != target.shape[1]:
        raise InputError(
            f"source and target {what} differ in width: {source.shape[1]} and {target.shape[1]}; "
            "use one backbone for both"
        )
    if min(len(source), len(target)) < least:
        raise InputError(
            f"source and target {what} have {len(source)} and {len(target)} rows; expected {least} or more a side"
        )
    return at_least_float32(source), at_least_float32(target)


def check_positive_definite(values: Tensor, *, what: str = "the matrix") -> None:
    """Check the eigenvalues (D,), in ascending order, of a matrix before it is inverted.

    Raises:
        ValueError: the lowest is zero or negative up to rounding.
    """
    lowest, highest = float(values[0]), float(values[-1])
    if lowest <= len(values) * torch.finfo(values.dtype).eps * highest:
        raise InputError(
            f"{what} is singular: its eigenvalues range from {lowest:.3g} to {highest:.3g}; add to its diagonal "
            "(regularization), or give more examples than dimensions"
        )


def check_counts(*, low: int = 1, **settings: object) -> None:
    """Check that settings are integers, ``low`` or more.

    Raises:
        ValueError: one is not; it is named.

    >>> check_counts(neighbors=5)
    """
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < low:
            raise InputError(f"{name} {value!r}; expected at least {low}, an integer")


def check_flags(**settings: object) -> None:
    """Check that settings are True or False.

    Raises:
        ValueError: one is not; it is named.

    >>> check_flags(gather=True)
    """
    for name, value in settings.items():
        is_flag = isinstance(value, bool)
        if not is_flag:
            raise InputError(f"{name} {value!r}; expected True or False")


def check_at_least(low: float, **settings: object) -> None:
    """Check that settings are numbers, ``low`` or more.

    Raises:
        ValueError: one is not; it is named.

    >>> check_at_least(0, weight=0.5)
    """
    _check_numbers(settings, lambda value: low <= value < math.inf, f"a number, at least {low:g}")


def check_positive(**settings: object) -> None:
    """Check that settings are numbers above 0.

    Raises:
        ValueError: one is not; it is named.

    >>> check_positive(temperature=2.5)
    """
    _check_numbers(settings, lambda value: 0 < value < math.inf, "a number > 0")


def check_shares(*, above_zero: bool = False, below_one: bool = False, **settings: object) -> None:
    """Check that settings are numbers from 0 to 1; above 0 or below 1 if requested.

    Raises:
        ValueError: one is not; it is named.

    >>> check_shares(threshold=0.95)
    """
    expected = f"a number in {'(' if above_zero else '['}0, 1{')' if below_one else ']'}"

    def holds(value: float) -> bool:
        return 0 <= value <= 1 and not (above_zero and value == 0) and not (below_one and value == 1)

    _check_numbers(settings, holds, expected)


def _check_numbers(settings: Mapping[str, object], holds: Callable[[float], bool], expected: str) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not holds(float(value)):
            raise InputError(f"{name} {value!r}; expected {expected}")


def read_value(value: Tensor) -> float | None:
    """Return the value of a scalar, or None if reading it would cost or fail.

    On an accelerator, reading stalls the queue. While compiling and under ``vmap`` there is no value yet.
    """
    if value.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    try:
        return float(value)
    except RuntimeError:  # torch's word for a tensor that stands for many: vmap, fake tensors
        return None


def is_finite(value: Tensor) -> bool:
    """Return whether a tensor has neither NaN nor Inf.

    The answer is True if the values cannot be read: on an accelerator, where reading would stall the queue, while
    compiling, and under ``torch.func.vmap``.

    The check sums first, in one pass without a temporary tensor. If the sum is not finite, which can also mean an
    overflow, it looks at each entry.
    """
    if value.device.type != "cpu" or not value.is_floating_point() or torch.compiler.is_compiling():
        return True
    value = value.detach()
    try:
        total = float(value if value.ndim == 0 else value.sum())
    except RuntimeError:  # see read_value
        return True
    return math.isfinite(total) or bool(value.isfinite().all())


def where_not_finite(value: Tensor, *, unit: str) -> str:
    """Return a phrase that names the first rows of ``value`` with NaN or Inf: ``"episodes 2, 5 and 1 more"``.

    >>> import torch
    >>> where_not_finite(torch.tensor([1.0, torch.nan]), unit="row")
    'row 1'
    """
    rows = (~value.detach().isfinite()).flatten(1).any(dim=1) if value.ndim > 1 else ~value.detach().isfinite()
    places = rows.reshape(-1).nonzero().flatten().tolist()
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"{unit}{'s' if len(places) > 1 else ''} {', '.join(map(str, places[:3]))}{more}"
