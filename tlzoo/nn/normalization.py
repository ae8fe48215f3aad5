"""Normalization layers of a network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["batch_layers", "normalization_layers"]

Layer = TypeVar("Layer", bound=nn.Module)


def normalization_layers(network: nn.Module, *kinds: type[Layer]) -> list[Layer]:
    """Return the layers of some kinds.

    Raises:
        ValueError: there are none.

    >>> normalization_layers(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), nn.LayerNorm)
    [LayerNorm((2,), eps=1e-05, elementwise_affine=True)]
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
