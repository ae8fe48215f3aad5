"""Batch normalization with the statistics of all processes, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlzoo.functional.distributed import sum_over_processes
from tlzoo.functional.precision import at_least_float32

__all__ = ["synchronized_batch_norm"]


@contextmanager
def synchronized_batch_norm(network: nn.Module, *, tracked_only: bool = False) -> Iterator[None]:
    """Context in which batch normalization in training uses the statistics of the joined batch of all processes.

    torch's ``SyncBatchNorm`` does the same on GPUs alone, and replaces the layers. Evaluation does not change, and a
    single process is not affected.

    Args:
        network: the network whose passes are over this process's part of the batch.
        tracked_only: leave layers without running statistics alone.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, kinds) and (layer.track_running_stats or not tracked_only)
    ]
    for layer in layers:  # an attribute of the object, which hides the function of its class
        object.__setattr__(layer, "forward", partial(_forward, layer))
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _forward(layer: _BatchNorm, inputs: Tensor) -> Tensor:
    """Return inputs (B, C, ...) normalized by the statistics of all processes in training."""
    if not layer.training:
        result: Tensor = type(layer).forward(layer, inputs)
        return result
    others = [dim for dim in range(inputs.ndim) if dim != 1]
    shape = [1, -1, *[1] * (inputs.ndim - 2)]
    values = at_least_float32(inputs)
    count = values.new_tensor([values.numel() / values.shape[1]])
    sums = sum_over_processes(torch.cat([values.sum(others), count]))
    count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
    if count <= 1:
        raise ValueError(f"batch normalization of one value a channel in training, {tuple(inputs.shape)}: no spread")
    centered = values - mean.view(shape)  # in two passes, because E[x²] - E[x]² cancels
    variance = sum_over_processes(centered.square().sum(others)) / count
    _track(layer, mean.detach(), variance.detach() * count / (count - 1))
    result = centered * (variance + layer.eps).rsqrt().view(shape)
    if layer.weight is not None:
        result = result * layer.weight.view(shape)
    if layer.bias is not None:
        result = result + layer.bias.view(shape)
    return result.to(inputs.dtype)


def _track(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as torch does, the variance with n - 1."""
    if not layer.track_running_stats or layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    rate = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean), rate)
    layer.running_var.lerp_(variance.to(layer.running_var), rate)
