"""Normalization layers of a network, and statistics of what goes into them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["Moments", "batch_layers", "normalization_layers"]

Layer = TypeVar("Layer", bound=nn.Module)


def normalization_layers(network: nn.Module, *kinds: type[Layer]) -> list[Layer]:
    """Return the normalization layers of the given kinds.

    Raises:
        ValueError: there are none.

    >>> network = nn.Sequential(nn.ReLU(), nn.LayerNorm(2))
    >>> [type(layer).__name__ for layer in normalization_layers(network, nn.LayerNorm)]
    ['LayerNorm']
    """
    found = [module for module in network.modules() if isinstance(module, kinds)]
    if not found:
        names = ", ".join(kind.__name__.lstrip("_") for kind in kinds)
        raise ValueError(
            f"the network has no normalization layer ({names}) to adapt; give it one, such as a bottleneck"
        )
    return found


def batch_layers(network: nn.Module) -> list[_BatchNorm]:
    """Return the batch normalization layers, if there are any."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]


class Moments:
    """Mean and variance of what goes into a batch normalization layer, over all batches; the layer uses the batch's.

    Args:
        layer: with running statistics; they change in :meth:`finish`.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        self.layer, self.count = layer, 0
        self.mean, self.spread = (torch.zeros(layer.num_features, dtype=torch.float64) for _ in range(2))
        self.hook = layer.register_forward_pre_hook(self._take_in)

    def _take_in(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Count a batch, and put its statistics into the layer."""
        values = inputs[0].transpose(0, 1).flatten(1).double()  # (C, n)
        self.mean, self.spread = self.mean.to(values.device), self.spread.to(values.device)
        n, k = self.count, values.shape[1]
        mean = values.mean(dim=1)
        spread = (values - mean[:, None]).square().sum(dim=1)
        moved = mean - self.mean
        self.count, self.mean = n + k, self.mean + moved * k / (n + k)
        self.spread = self.spread + spread + moved.square() * n * k / (n + k)
        if k > 1:  # a single item has no spread; it passes under what was there before
            self._set(mean, spread / k)

    def _set(self, mean: Tensor, variance: Tensor) -> None:
        self.layer.get_buffer("running_mean").copy_(mean)
        self.layer.get_buffer("running_var").copy_(variance)

    def finish(self) -> None:
        """Put the statistics of all batches into the layer.

        Raises:
            ValueError: fewer than two values a channel.
        """
        self.hook.remove()
        if self.count < 2:
            raise ValueError(f"{self.count} target examples; expected two or more, one has no variance")
        self._set(self.mean, self.spread / (self.count - 1))
