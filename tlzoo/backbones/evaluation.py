"""Temporary evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["evaluation"]


@contextmanager
def evaluation(network: nn.Module) -> Iterator[None]:
    """Run a network in evaluation mode and without gradients; afterwards, restore the mode of every module."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        # one by one: a frozen batch norm inside a training network stays as it was
        for module, mode in modes:
            module.training = mode
