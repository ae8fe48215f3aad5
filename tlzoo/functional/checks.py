"""Errors that say early what is wrong with a batch."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_finite", "check_pair"]


def check_pair(source: Tensor, target: Tensor, *, least: int = 1, what: str = "features") -> None:
    """Check that source (N, D) and target (M, D) can be compared.

    Raises:
        ValueError: not two matrices, of different width, or fewer than ``least`` rows on a side.
    """
    if source.ndim != 2 or target.ndim != 2:
        raise ValueError(
            f"source and target {what} have shapes {tuple(source.shape)} and {tuple(target.shape)}; "
            "expected (N, D) and (M, D)"
        )
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            f"source and target {what} differ in width: {source.shape[1]} and {target.shape[1]}; "
            "use one backbone for both"
        )
    if min(len(source), len(target)) < least:
        raise ValueError(
            f"source and target {what} have {len(source)} and {len(target)} rows; expected {least} or more a side"
        )


def check_finite(value: Tensor, *, what: str) -> Tensor:
    """Return a scalar or small tensor after checking that it is finite.

    Raises:
        FloatingPointError: NaN or Inf; both the value's name and what to look at are in the message.
    """
    if not bool(torch.isfinite(value).all()):
        raise FloatingPointError(
            f"{what} is {value.tolist() if value.numel() < 9 else 'not finite'}; "
            "look for NaN or Inf in the inputs, or lower the learning rate"
        )
    return value
