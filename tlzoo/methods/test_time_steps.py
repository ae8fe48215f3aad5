"""What test-time methods that take gradient steps share: normalization with batch statistics, and an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from tlzoo.methods.adapting import TestTime, normalization_layers
from tlzoo.types import Prediction

__all__ = ["NORMALIZATION", "Online"]

NORMALIZATION: tuple[type[nn.Module], ...] = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
"""Layers whose scale and shift test-time methods train."""


class Online(TestTime):
    """Takes gradient steps on what is trained of the model; the optimizer's state is part of the method's.

    Batch normalization uses the statistics of the test batch, and leaves the running ones as they are; a batch of one,
    which has none, is answered with the running ones and not learned from.

    Args:
        model: see :class:`~tlzoo.methods.adapting.TestTime`.
    """

    optimizer: Optimizer

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.trained = self.select()
        for parameter in self.trained:
            parameter.requires_grad_()
        for layer in self._batch_layers():
            layer.momentum = 0.0
        self.optimizer = self.make_optimizer(self.trained)

    def select(self) -> list[nn.Parameter]:
        """Return the parameters to train: scale and shift of normalization layers by default.

        Raises:
            ValueError: there are none.
        """
        layers = normalization_layers(self.model, NORMALIZATION)
        found = [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
        if not found:
            raise ValueError("the normalization layers have no scale and shift to train; make them affine")
        return found

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the optimizer of the trained parameters."""
        raise NotImplementedError

    def _batch_layers(self, model: nn.Module | None = None) -> list[_BatchNorm]:
        return [layer for layer in (model or self.model).modules() if isinstance(layer, _BatchNorm)]

    def answer(self, inputs: Any, model: nn.Module | None = None) -> Prediction:
        """Return the prediction of inputs (B, ...), normalized by their own statistics where there are several."""
        for layer in self._batch_layers(model):
            layer.training = len(inputs) > 1
        return self.predict(inputs, model)

    def gradients(self, loss: Tensor) -> None:
        """Set the gradients of the trained parameters, of nothing else."""
        found = torch.autograd.grad(loss, self.trained, allow_unused=True)
        for parameter, gradient in zip(self.trained, found, strict=True):
            parameter.grad = gradient

    def step(self, loss: Tensor) -> None:
        """Take one step down the loss."""
        self.gradients(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def reset(self) -> None:
        """Forget everything but the source model."""
        super().reset()
        self.optimizer.state.clear()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Let the optimizer's state follow the parameters to another device or precision."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's own
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim:
                    state[name] = fn(value)
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, for checkpoints."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take in the state of the optimizer."""
        self.optimizer.load_state_dict(state)
