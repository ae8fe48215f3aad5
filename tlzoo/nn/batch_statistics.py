"""Batch normalization with the statistics of some rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Statistics", "resting_statistics", "statistics_of", "uses_batch_statistics"]

Statistics = Literal["support", "batch"]


def uses_batch_statistics(network: nn.Module) -> bool:
    """Return whether a network has batch normalization without running statistics, which depends on each batch.

    >>> uses_batch_statistics(nn.BatchNorm1d(2)), uses_batch_statistics(nn.BatchNorm1d(2, track_running_stats=False))
    (False, True)
    """
    norms = (module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return any(not norm.track_running_stats for norm in norms)


@contextmanager
def resting_statistics(network: nn.Module) -> Iterator[None]:
    """Context in which batch normalization does not update its running statistics in training.

    For passes with artificial inputs, such as perturbed ones.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True


class statistics_of(TorchFunctionMode):  # noqa: N801 - used as a context manager
    """Context in which batch normalization without running statistics only uses the statistics of the first rows.

    The other rows are thus normalized independently of each other, such as queries that follow the support. Layers with
    running statistics do not change.

    Args:
        count: number of first rows.

    >>> norm = torch.nn.BatchNorm1d(1, track_running_stats=False, affine=False, eps=0.0)
    >>> with statistics_of(2):
    ...     norm(torch.tensor([[-1.0], [1.0], [5.0]])).flatten().tolist()
    [-1.0, 1.0, 5.0]
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace batch normalization by batch statistics, and call everything else."""
        if func is F.batch_norm:
            return self._normalized(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _normalized(
        self,
        inputs: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if running_mean is not None:
            return F.batch_norm(inputs, running_mean, running_var, weight, bias, training, momentum, eps)
        others = [dim for dim in range(inputs.ndim) if dim != 1]
        shape = [1, -1, *[1] * (inputs.ndim - 2)]
        variance, mean = torch.var_mean(inputs[: self.count], dim=others, correction=0)
        normalized = (inputs - mean.view(shape)) * (variance + eps).rsqrt().view(shape)
        if weight is not None:
            normalized = normalized * weight.view(shape)
        return normalized if bias is None else normalized + bias.view(shape)
