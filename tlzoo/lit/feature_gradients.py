"""What of a method's term reaches the features of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

__all__ = ["FeatureWatch"]


class FeatureWatch:
    """Notes the features that the head is given while the block runs, and what gradient a loss of them sends back.

    The block is the pass of the batch; what a method makes of it, and runs through the head again, comes after. Taking
    this gradient leaves nothing behind in that of the training step.

    Args:
        head: the layer whose input are the features.
        active: whether to do anything.
    """

    def __init__(self, head: nn.Module, *, active: bool) -> None:
        self._head, self._active = head, active
        self._features: list[Tensor] = []
        self._handle: Any = None

    def __enter__(self) -> FeatureWatch:
        if self._active:
            self._handle = self._head.register_forward_pre_hook(lambda _, inputs: self._features.append(inputs[0]))
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.remove()

    def terms(self, loss: Tensor) -> dict[str, Tensor]:
        """Return ``feature_gradient``, the norm of the gradient of ``loss`` for all features; nothing without one.

        Gradients that pass a reversal on their way are what the features see: reversed. Of several processes it is the
        norm for the joined batch: all must ask.
        """
        features = [each for each in self._features if each.requires_grad]
        if not features or not loss.requires_grad:
            return {}
        found = torch.autograd.grad(loss, features, retain_graph=True, allow_unused=True)
        squares = [_precise(gradient.detach()).square().sum() for gradient in found if gradient is not None]
        return {"feature_gradient": _over_processes(torch.stack(squares).sum()).sqrt()} if squares else {}


def _precise(values: Tensor) -> Tensor:
    """Return values in float32, or better where they are better: squares of half precision overflow."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _over_processes(square: Tensor) -> Tensor:
    """Return the square of all rows' gradient, of which each process has its own rows, times the processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return square
    distributed.all_reduce(square)
    return square / distributed.get_world_size() ** 2
