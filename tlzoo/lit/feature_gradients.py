"""The gradient that a method's term sends to the features of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

__all__ = ["FeatureWatch"]


class FeatureWatch:
    """Records the head's input features while the block runs, and the gradient that a loss sends back to them.

    The block is the forward pass of the batch; later passes of a method through the head do not count. Computing this
    gradient does not affect the training step.

    Args:
        head: the layer whose inputs are the features.
        active: whether to record at all.
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
        """Return ``feature_gradient``, the norm of the gradient of ``loss`` at all features, if there is one.

        Gradients that pass a reversal are reversed, as the features see them. With several processes it is the norm for
        the joined batch, so all processes must call it.
        """
        features = [each for each in self._features if each.requires_grad]
        if not features or not loss.requires_grad:
            return {}
        found = torch.autograd.grad(loss, features, retain_graph=True, allow_unused=True)
        squares = [_precise(gradient.detach()).square().sum() for gradient in found if gradient is not None]
        return {"feature_gradient": _over_processes(torch.stack(squares).sum()).sqrt()} if squares else {}


def _precise(values: Tensor) -> Tensor:
    """Return values in float32 or their own higher precision, because squares in half precision overflow."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _over_processes(square: Tensor) -> Tensor:
    """Return the squared gradient norm over the rows of all processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return square
    distributed.all_reduce(square)
    return square / distributed.get_world_size() ** 2
