"""What of a method's term reaches the features of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FeatureWatch"]


class FeatureWatch:
    """Notes the features that the head is given while the block runs, and what gradient a loss of them sends back.

    It takes a gradient beside the one of the training step, and leaves nothing behind in either.

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

        Gradients that pass a reversal on their way are what the features see: reversed.
        """
        features = [each for each in self._features if each.requires_grad]
        if not features or not loss.requires_grad:
            return {}
        found = torch.autograd.grad(loss, features, retain_graph=True, allow_unused=True)
        norms = [gradient.detach().float().norm() for gradient in found if gradient is not None]
        return {"feature_gradient": torch.stack(norms).norm()} if norms else {}
