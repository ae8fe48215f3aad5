"""The precision of computations on features, independent of the trainer's."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["at_least_float32", "full_precision", "matmul", "working_dtype"]


def full_precision(value: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast on the device of ``value``.

    Matrix inverses, neighbor counts and descent over dozens of steps need more than eight bits of mantissa.
    """
    kind = value.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def at_least_float32(value: Tensor) -> Tensor:
    """Return a half-precision tensor as float32, and any other unchanged.

    A sum of a few squares overflows in float16, and differences of such sums vanish in bfloat16.

    >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """Return the matrix product in the precision of its factors, regardless of autocast."""
    with full_precision(left):
        return left @ right


def working_dtype(weights: Iterable[Tensor], *values: Tensor) -> torch.dtype:
    """Return the working dtype: that of the weights, or without weights the widest of the values.

    Scalar weights do not count, because they adopt the dtype of the other factor. Without weights, the result is at
    least float32.

    >>> working_dtype([torch.ones(2, 2)], torch.ones(1, dtype=torch.float64))
    torch.float32
    >>> working_dtype([], torch.ones(1, dtype=torch.float16), torch.ones(1, dtype=torch.float64))
    torch.float64
    """
    for weight in weights:
        if weight.ndim and weight.is_floating_point():
            return weight.dtype
    dtype = torch.float32
    for value in values:
        if value.is_floating_point():
            dtype = torch.promote_types(dtype, value.dtype)
    return dtype
