"""In which precision a computation on features runs, whatever the trainer's."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["full_precision", "working_dtype"]


def full_precision(value: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast leaves matrix products alone on the device of ``value``.

    Inverses, counts of neighbors and descent of a few dozen steps do not survive eight bits of mantissa.
    """
    kind = value.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def working_dtype(weights: Iterable[Tensor], *values: Tensor) -> torch.dtype:
    """Return the dtype to work on values in: that of the weights, or else the widest of the values'.

    Scalars among the weights do not count, as they follow whatever they are multiplied with. Without weights it is
    float32 at least.

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
