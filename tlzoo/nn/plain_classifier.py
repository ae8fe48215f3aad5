"""Any classifier as a network of features and logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.types import Prediction

__all__ = ["Features", "PlainClassifier"]

Features = str | Callable[[nn.Module, Any], Tensor] | None
"""Where features come from: the name of a layer, a function of model and inputs, or None for the head's input."""


class PlainClassifier(nn.Module):
    """A module that maps inputs to logits, made to return a :class:`~tlzoo.types.Prediction`.

    Args:
        model: maps inputs (B, ...) to logits (B, C): a tensor, a mapping with ``"logits"``, or an object with
            ``logits``, as networks of transformers return.
        features: the name of the layer whose output, flattened to (B, D), are the features; a function of model and
            inputs that returns them; or None for the input of the head.
        head: name of the last linear layer; None looks for it.

    Raises:
        ValueError: there is no such layer.

    >>> network = PlainClassifier(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    >>> prediction = network(torch.ones(5, 4))
    >>> prediction.features.shape, prediction.logits.shape
    (torch.Size([5, 3]), torch.Size([5, 2]))
    """

    def __init__(self, model: nn.Module, *, features: Features = None, head: str | None = None) -> None:
        super().__init__()
        self.model, self.features = model, features
        layers = dict(model.named_modules())
        linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
        self.head_name = linear[-1] if head is None and linear else head
        for name in (self.head_name, features if isinstance(features, str) else None):
            if name is not None and name not in layers:
                known = ", ".join(name for name in list(layers)[-8:] if name)
                raise ValueError(f"{type(model).__name__} has no layer {name!r}; its last ones are {known}")
        if self.head_name is None and features is None:
            raise ValueError(
                f"{type(model).__name__} has no linear layer whose input could be the features; name a layer, or give "
                "a function: features=lambda model, inputs: ..."
            )

    @property
    def head(self) -> nn.Module | None:
        """The last linear layer; None if there is none."""
        return None if self.head_name is None else self.model.get_submodule(self.head_name)

    def forward(self, inputs: Any) -> Prediction:
        """Map inputs (B, ...) to features (B, D) and logits (B, C).

        Raises:
            TypeError: the model returns no logits.
            ValueError: the layer of the features was not run, or its values are not one row per input.
        """
        if callable(self.features):
            return Prediction(features=self.features(self.model, inputs), logits=_logits(self.model, inputs))
        seen: list[Tensor] = []
        name = self.head_name if self.features is None else self.features
        layer = self.model.get_submodule(str(name))
        if self.features is None:
            handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        else:
            handle = layer.register_forward_hook(lambda _, __, found: seen.append(found))
        try:
            logits = _logits(self.model, inputs)
        finally:
            handle.remove()
        if not seen or not isinstance(seen[-1], Tensor) or len(seen[-1]) != len(logits):
            raise ValueError(f"layer {name!r} has no features of {len(logits)} inputs; name another layer")
        return Prediction(features=seen[-1].flatten(1), logits=logits)


def _logits(model: nn.Module, inputs: Any) -> Tensor:
    found = model(inputs)
    if isinstance(found, Mapping):
        found = found.get("logits")
    logits = getattr(found, "logits", found)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"{type(model).__name__} returned {shape}; expected logits (B, C)")
    return logits if logits.dtype != torch.float16 else logits.float()
