"""Checks of the base classes of methods, with errors that say where to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from tlzoo.functional.checks import is_finite, where_not_finite
from tlzoo.labels import as_column
from tlzoo.types import Losses

if TYPE_CHECKING:
    from tlzoo.methods.base import Method

__all__ = ["as_tensor", "check_inputs", "check_matrix", "check_output", "check_terms", "check_width", "required"]

T = TypeVar("T")


def as_tensor(values: Any, *, what: str) -> Tensor:
    """Return numbers as a tensor of their dtype; a tensor is returned unchanged with its graph.

    Raises:
        ValueError: they are not real numbers.
    """
    if not isinstance(values, Tensor):
        return as_column(values, what=what)
    if values.is_complex():
        raise ValueError(f"{what} are complex numbers; expected real ones")
    return values


def check_output(
    method: Method, value: Tensor, inputs: Mapping[str, Tensor | None], *, what: str, unit: str = "row"
) -> None:
    """Check that a method's result is finite.

    Args:
        method: the method.
        value: its result.
        inputs: its inputs by name; the error names the culprits among them.
        what: description of the value.
        unit: unit of the first dimension of value and inputs.

    Raises:
        FloatingPointError: the value has NaN or Inf.
    """
    if is_finite(value):
        return
    found = (
        f"{what} is {value.item()}"
        if value.ndim == 0
        else f"NaN or Inf in {what} ({where_not_finite(value, unit=unit)})"
    )
    culprits = [
        f"{name} ({where_not_finite(tensor, unit=unit)})" if tensor.ndim else name
        for name, tensor in inputs.items()
        if tensor is not None and not is_finite(tensor)
    ]
    state = [*method.named_parameters(), *method.named_buffers()]
    culprits += [f"its own {name}" for name, tensor in state if not is_finite(tensor)]
    why = (
        f"NaN or Inf in {', '.join(culprits)}; look there first, or lower the learning rate"
        if culprits
        else "its inputs and parameters are finite, so values overflowed on the way; scale the inputs down"
    )
    raise FloatingPointError(f"{type(method).__name__}: {found}: {why}")


def check_terms(method: Method, terms: Losses, inputs: Mapping[str, Tensor | None]) -> None:
    """Check that a method's losses have a finite scalar under ``"loss"``.

    Args:
        method: the method.
        terms: its result.
        inputs: its inputs by name.

    Raises:
        ValueError: there is no ``"loss"``, or it is not a scalar.
        FloatingPointError: it is NaN or Inf.
    """
    if not isinstance(terms, Mapping) or "loss" not in terms:
        given = f"terms {', '.join(terms) or 'none'}" if isinstance(terms, Mapping) else type(terms).__name__
        raise ValueError(f'{type(method).__name__} returned {given}; expected a mapping with a scalar under "loss"')
    if terms["loss"].ndim:
        raise ValueError(
            f"{type(method).__name__} returned a loss of shape {tuple(terms['loss'].shape)}; expected a scalar"
        )
    check_output(method, terms["loss"], inputs, what="the loss")


def required(method: Method, value: T | None, what: str) -> T:
    """Return a part of a prediction that a method requires.

    Args:
        method: the method.
        value: the part.
        what: name of the part, such as ``"source.labels"``.

    Raises:
        ValueError: it is None.
    """
    if value is None:
        side, part = what.split(".")
        raise ValueError(f"{type(method).__name__} needs {what}, which are None; give the {side} Prediction its {part}")
    return value


def check_inputs(method: Method, inputs: Mapping[str, Tensor]) -> None:
    """Check that a method's inputs are finite.

    Args:
        method: the method.
        inputs: tensors (B, ...) by name.

    Raises:
        FloatingPointError: inputs have NaN or Inf; the message names them with their rows.
    """
    wrong = [f"{name} ({where_not_finite(v, unit='row')})" for name, v in inputs.items() if not is_finite(v)]
    if wrong:
        raise FloatingPointError(
            f"{type(method).__name__}: NaN or Inf in {', '.join(wrong)}; look there first, or lower the learning rate"
        )


def check_matrix(method: Method, value: Tensor, what: str, shape: str, **built: int | None) -> None:
    """Check that a value is a finite matrix with at least one row.

    Args:
        method: the method.
        value: the value.
        what: description of the value.
        shape: expected shape, for the message.
        built: the setting with the expected width; None if any width will do.

    Raises:
        ValueError: the number of dimensions or the width is wrong, or there is no row.
        FloatingPointError: the value has NaN or Inf; the message names the row.
    """
    if value.ndim != 2 or not value.shape[0]:
        raise ValueError(
            f"{type(method).__name__}: {what} of shape {tuple(value.shape)}; expected {shape} with at least one row"
        )
    check_width(method, value, what, **built)
    if not is_finite(value):
        raise FloatingPointError(
            f"{type(method).__name__}: NaN or Inf in {what} ({where_not_finite(value, unit='row')}); drop or repair it"
        )


def check_width(method: Method, value: Tensor, what: str, **built: int | None) -> None:
    """Check the last dimension of a value.

    Args:
        method: the method.
        value: the value.
        what: description of the value.
        built: the setting with the expected width; None if any width will do.

    Raises:
        ValueError: it has the wrong width.
    """
    for setting, width in built.items():
        if width is not None and value.shape[-1] != width:
            raise ValueError(
                f"{type(method).__name__}: {what} have width {value.shape[-1]}; it was built with {setting}={width}"
            )
