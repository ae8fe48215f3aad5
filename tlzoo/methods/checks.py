"""What base classes of methods check, each with the error that says where to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from tlzoo.functional.checks import is_finite, where_not_finite
from tlzoo.types import Losses

if TYPE_CHECKING:
    from tlzoo.methods.base import Method

__all__ = ["check_filled", "check_inputs", "check_matrix", "check_output", "check_terms", "required"]

T = TypeVar("T")


def check_output(
    method: Method, value: Tensor, inputs: Mapping[str, Tensor | None], *, what: str, unit: str = "row"
) -> None:
    """Check that what a method returns is finite.

    Args:
        method: whose value it is.
        value: what it returned.
        inputs: what it was made from, by name; the culprits among them are named.
        what: what the value is.
        unit: what the first dimension of value and inputs counts.

    Raises:
        FloatingPointError: NaN or Inf.
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
    """Check that a method's losses hold a finite scalar under ``"loss"``.

    Args:
        method: whose losses they are.
        terms: what it returned.
        inputs: what they were made from, by name.

    Raises:
        ValueError: there is no ``"loss"``, or it is no scalar.
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
    """Return a part of a prediction that a method cannot do without.

    Args:
        method: that asks.
        value: the part.
        what: what it is called, such as ``"source.labels"``.

    Raises:
        ValueError: it is None.
    """
    if value is None:
        side, part = what.split(".")
        raise ValueError(f"{type(method).__name__} needs {what}, which are None; give the {side} Prediction its {part}")
    return value


def check_inputs(method: Method, inputs: Mapping[str, Tensor]) -> None:
    """Check that what goes into a method is finite.

    Args:
        method: that is to take it.
        inputs: tensors (B, ...), by name.

    Raises:
        FloatingPointError: NaN or Inf; the inputs and their rows are named.
    """
    wrong = [f"{name} ({where_not_finite(v, unit='row')})" for name, v in inputs.items() if not is_finite(v)]
    if wrong:
        raise FloatingPointError(
            f"{type(method).__name__}: NaN or Inf in {', '.join(wrong)}; look there first, or lower the learning rate"
        )


def check_matrix(method: Method, value: Tensor, what: str, shape: str) -> None:
    """Check that a value is a finite matrix of one row or more.

    Args:
        method: that is to take it.
        value: to look at.
        what: what it is.
        shape: what it should be, for the message.

    Raises:
        ValueError: another number of dimensions, or no row.
        FloatingPointError: NaN or Inf; the row is named.
    """
    if value.ndim != 2 or not len(value):
        raise ValueError(
            f"{type(method).__name__}: {what} of shape {tuple(value.shape)}; expected {shape} with at least one row"
        )
    if not is_finite(value):
        raise FloatingPointError(
            f"{type(method).__name__}: NaN or Inf in {what} ({where_not_finite(value, unit='row')}); drop or repair it"
        )


def check_filled(method: Method, **parts: Tensor) -> None:
    """Check that episodes (E, N, ...) have items.

    Args:
        method: that is to answer them.
        parts: support and query, by name.

    Raises:
        ValueError: there is no episode, or a part of the episodes is empty.
    """
    for name, part in parts.items():
        if not len(part):
            raise ValueError(f"{type(method).__name__}: no episode; expected one or more")
        if not part.shape[1]:
            which = "episode 0 has" if len(part) == 1 else f"episodes 0 to {len(part) - 1} have"
            raise ValueError(f"{type(method).__name__}: {which} no {name}; expected one item or more in each")
