"""A loss whose backward pass delivers gradients that are already known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["deliver"]


class _Deliver(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        # the outer gradient is not 1 under loss scaling and accumulation
        return None, None, *[outer[0].to(gradient.dtype) * gradient for gradient in ctx.gradients]


def deliver(value: Tensor, tensors: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Return a scalar with ``value`` whose backward pass gives each tensor its gradient.

    Optimizers, loss scaling, clipping, accumulation and DDP see an ordinary loss.

    Args:
        value: value of the scalar, such as the weighted sum of the losses.
        tensors: leaves or results that require a gradient.
        gradients: one of the same shape for each.

    >>> import torch
    >>> p = torch.zeros(2, requires_grad=True)
    >>> deliver(torch.tensor(7.0), [p], [torch.tensor([1.0, 2.0])]).backward()
    >>> p.grad
    tensor([1., 2.])
    """
    fitted = [gradient.to(tensor.dtype).view_as(tensor) for gradient, tensor in zip(gradients, tensors, strict=True)]
    result: Tensor = _Deliver.apply(value.detach(), fitted, *tensors)
    return result
