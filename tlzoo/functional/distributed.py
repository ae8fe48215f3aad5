"""Gathering the whole batch from all processes, with gradient; torch's own function needs shares of equal size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["average_gradients", "gather_with_gradient", "mean_over_processes", "sum_over_processes"]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, group: Any) -> Tensor:
        rank, world = dist.get_rank(group), dist.get_world_size(group)
        size = torch.tensor([len(local)], device=local.device)
        sizes = [torch.zeros_like(size) for _ in range(world)]
        dist.all_gather(sizes, size, group=group)
        counts = [int(count) for count in sizes]
        padded = local.new_zeros((max(counts), *local.shape[1:]))
        padded[: len(local)] = local
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded, group=group)
        ctx.group, ctx.first, ctx.count = group, sum(counts[:rank]), len(local)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return total[ctx.first : ctx.first + ctx.count], None


def gather_with_gradient(local: Tensor, group: Any = None) -> Tensor:
    """Return the rows of all processes, (sum of B, ...), from this process's rows (B, ...).

    Batches may differ in size. If every process computes the same loss from the gathered rows and gradients are
    averaged over processes (as in DDP), the result equals the gradient of one process on the joined batch. In a single
    process this is the identity.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size(group) == 1:
        return local
    gathered: Tensor = _Gather.apply(local, group)
    return gathered


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = local.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


def sum_over_processes(local: Tensor, group: Any = None) -> Tensor:
    """Return the sum of a tensor over all processes, with the gradient of each.

    As with :func:`gather_with_gradient`, gradients averaged over processes are those of one process with everything. In
    a single process this is the identity.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size(group) == 1:
        return local
    total: Tensor = _Sum.apply(local, group)
    return total


def mean_over_processes(mean: Tensor, count: int, group: Any = None) -> Tensor:
    """Return the mean over the items of all processes, given this process's mean over its ``count`` items.

    When gradients are averaged over processes (as DDP does), the result is the gradient of one process with all items,
    whatever the share of each. In a single process this is the identity.
    """
    if not (dist.is_available() and dist.is_initialized()) or (world := dist.get_world_size(group)) == 1:
        return mean
    joint = torch.stack([mean.detach() * count, mean.new_tensor(count)])
    dist.all_reduce(joint, group=group)
    part = mean * (count * world / joint[1])
    return part + (joint[0] / joint[1] - part.detach())


def average_gradients(parameters: Iterable[Tensor], group: Any = None) -> None:
    """Replace gradients with their means over all processes, in place, as DDP does; for your own loop.

    All gradients of one type and device travel as one vector. Every process must have gradients for the same
    parameters; parameters without a gradient are skipped. In a single process nothing happens.
    """
    if not (dist.is_available() and dist.is_initialized()) or (world := dist.get_world_size(group)) == 1:
        return
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            kinds.setdefault((parameter.grad.dtype, parameter.grad.device), []).append(parameter.grad)
    for gradients in kinds.values():
        joint = torch.cat([gradient.reshape(-1) for gradient in gradients]) / world
        dist.all_reduce(joint, group=group)
        for gradient, mean in zip(gradients, torch.split(joint, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
