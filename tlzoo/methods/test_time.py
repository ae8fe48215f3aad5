"""Methods that adapt a source model while it predicts on test batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from tlzoo.methods.base import Method
from tlzoo.methods.checks import check_inputs, check_output
from tlzoo.nn.normalization import batch_layers, normalization_layers
from tlzoo.types import Prediction, Sees

__all__ = ["Online", "TestTime"]


class TestTime(Method):
    """Predicts on one test batch after the other and adapts on the way (TENT, EATA, SAR, CoTTA, T3A, LAME).

    Users call the method; a method implements :meth:`adapt`.

    Args:
        model: the source model, which maps inputs to a :class:`~tlzoo.types.Prediction`; it is copied, never changed.

    Attributes:
        learns: whether it takes gradient steps.
    """

    __test__ = False  # no test, though its name begins like one
    sees = frozenset({Sees.TEST_INPUTS})
    implements: ClassVar[str] = "adapt(inputs)"
    learns: ClassVar[bool] = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.initial = copy.deepcopy(self.model)

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(self, inputs: Any) -> Tensor:
        """Map a test batch (B, ...) to logits (B, C) and adapt to it; this also works in inference mode.

        Raises:
            ValueError: the batch is empty.
            FloatingPointError: inputs or predictions have NaN or Inf; the message names the row. Checked on the CPU
                only.
        """
        if not len(inputs):
            raise ValueError(f"{type(self).__name__}: the test batch is empty; expected at least one example")
        given = {"inputs": inputs} if isinstance(inputs, Tensor) else {}
        check_inputs(self, given)
        with torch.inference_mode(False), torch.set_grad_enabled(self.learns):
            # inference mode forbids gradient steps, also on tensors created in it
            usable = inputs.clone() if isinstance(inputs, Tensor) and inputs.is_inference() else inputs
            logits = self.adapt(usable).detach()
        check_output(self, logits, given, what="the logits")
        return logits

    if TYPE_CHECKING:
        __call__ = forward

    def adapt(self, inputs: Any) -> Tensor:
        """Return the logits (B, C) of a checked test batch, and adapt to it before or after."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def start(self, source: Iterable[tuple[Any, Tensor]]) -> None:
        """Receive the labelled source before the stream; for methods that declare ``Sees.SOURCE_LABELS``.

        Args:
            source: each iteration passes over batches of inputs (B, ...) and labels (B,), in a random order.
        """

    def reset(self) -> None:
        """Return to the source model."""
        self.model.load_state_dict(self.initial.state_dict())

    def predict(self, inputs: Any, model: nn.Module | None = None) -> Prediction:
        """Return the prediction of the current model.

        Raises:
            TypeError: the model returns something else.
        """
        prediction = (model or self.model)(inputs)
        if not isinstance(prediction, Prediction):
            raise TypeError(
                f"{type(self).__name__}: the model returned {type(prediction).__name__}; expected a Prediction with "
                "features and logits, as tlzoo.nn.network.Network gives it"
            )
        return prediction

    def train(self, mode: bool = True) -> Self:
        """Do nothing: the method chooses which statistics to use, not the loop."""
        return self


class Online(TestTime):
    """Takes gradient steps on some parameters of the model; the optimizer's state is part of the method's state.

    Batch normalization uses the statistics of the test batch and leaves the running statistics unchanged. A batch of
    one has no statistics: a network with batch normalization then predicts with the running ones and learns nothing.
    Networks with layer or group normalization learn from it as from any batch.

    Args:
        model: see :class:`TestTime`.
    """

    learns = True
    optimizer: Optimizer

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.trained = self.select()
        for parameter in self.trained:
            parameter.requires_grad_()
        for layer in batch_layers(self.model):
            layer.momentum = 0.0
        self.optimizer = self.make_optimizer(self.trained)

    def select(self) -> list[nn.Parameter]:
        """Return the parameters to train: by default the scales and shifts of normalization layers.

        Raises:
            ValueError: there are none.
        """
        layers = normalization_layers(self.model, _BatchNorm, nn.LayerNorm, nn.GroupNorm)
        found = [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
        if not found:
            raise ValueError("the normalization layers have no scale and shift to train; make them affine")
        return found

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the optimizer of the trained parameters."""
        raise NotImplementedError

    def adapt(self, inputs: Any) -> Tensor:
        """Return the logits (B, C) of the current model, then learn from them."""
        logits = self.answer(inputs).logits
        if self.can_learn_from(inputs):
            self.learn(inputs, logits)
        return logits

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Take a step from inputs (B, ...) and the model's logits (B, C), which carry gradients."""
        raise NotImplementedError(f"{type(self).__name__} implements no learn(inputs, logits)")

    def can_learn_from(self, inputs: Any) -> bool:
        """Return whether inputs (B, ...) have the statistics that the model's layers need."""
        return len(inputs) > 1 or not batch_layers(self.model)

    def answer(self, inputs: Any, model: nn.Module | None = None) -> Prediction:
        """Return the prediction for inputs (B, ...), normalized by their own statistics if there are several."""
        for layer in batch_layers(model or self.model):
            layer.training = len(inputs) > 1
        return self.predict(inputs, model)

    def gradients(self, loss: Tensor) -> None:
        """Set the gradients of the trained parameters only."""
        found = torch.autograd.grad(loss, self.trained, allow_unused=True)
        for parameter, gradient in zip(self.trained, found, strict=True):
            parameter.grad = gradient

    def step(self, loss: Tensor) -> None:
        """Take one optimizer step on the loss."""
        self.gradients(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.optimizer.state.clear()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the optimizer's state with the parameters to another device or precision."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's own
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim:
                    state[name] = fn(value)
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the optimizer for checkpoints."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Load the state of the optimizer."""
        self.optimizer.load_state_dict(state)
