"""Any module as a backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.backbones.evaluation import evaluation
from tlzoo.backbones.layer_groups import groups_by_name
from tlzoo.types import Backbone, LayerGroup, Modality

__all__ = ["Wrapped", "wrapped"]


class Wrapped(Backbone):
    """A module of the user.

    Args:
        module: maps (B, ...) to (B, D).
        num_features: D.
        modality: modality of the raw items.
        preprocess: turns raw items into the module's input; None if they need no preprocessing.
        preprocessing: identity of ``preprocess``.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        num_features: int,
        modality: Modality,
        preprocess: Callable[[Any], Any] | None,
        preprocessing: str,
    ) -> None:
        super().__init__()
        self.name, self.module = type(module).__name__, module
        self.num_features, self.modality = num_features, modality
        self._preprocess, self._preprocessing = preprocess, preprocessing

    def forward(self, inputs: Any) -> Tensor:
        """Map inputs (B, ...) to features (B, D)."""
        features: Tensor = self.module(inputs)
        return features

    def preprocess(self, items: Any) -> Any:
        """Turn raw items into the module's input with the given function."""
        return items if self._preprocess is None else self._preprocess(items)

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess``."""
        return self._preprocessing

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the module's children that have parameters, in order, by their names."""
        return groups_by_name(self.module, lambda name: name.split(".")[0])


def wrapped(
    module: nn.Module,
    *,
    num_features: int | None = None,
    input_shape: Sequence[int] | None = None,
    modality: Modality = "image",
    preprocess: Callable[[Any], Any] | None = None,
    preprocessing: str | None = None,
) -> Backbone:
    """Make a backbone of any module that maps (B, ...) to (B, D).

    Args:
        module: used as it is, not copied.
        num_features: D; None finds it by running two inputs of zeros.
        input_shape: shape of one input for that run; without it, the module's ``num_features`` is used, if it has one.
        modality: modality of the raw items.
        preprocess: turns raw items (:data:`tlzoo.types.Modality`) into the module's input.
        preprocessing: name that tells this ``preprocess`` from others in the feature cache.

    Raises:
        ValueError: ``num_features`` cannot be determined, or ``preprocess`` has no name.
    """
    if preprocess is not None and preprocessing is None:
        raise ValueError("preprocess without preprocessing; name it, so that cached features are not mistaken")
    if num_features is None:
        num_features = _probed(module, input_shape)
    return Wrapped(
        module,
        num_features=num_features,
        modality=modality,
        preprocess=preprocess,
        preprocessing=preprocessing or "none",
    )


def _probed(module: nn.Module, input_shape: Sequence[int] | None) -> int:
    if input_shape is None:
        declared = getattr(module, "num_features", None)
        if isinstance(declared, int):
            return declared
        raise ValueError(
            f"{type(module).__name__}: the width of its features is unknown; pass num_features=D, or "
            "input_shape=(...) of one input to find out"
        )
    example = next(module.parameters(), torch.empty(0))
    with evaluation(module), torch.random.fork_rng(devices=[]):
        features = module(torch.zeros(2, *input_shape, dtype=example.dtype, device=example.device))
    if not isinstance(features, Tensor) or features.dim() != 2:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(
            f"{type(module).__name__} maps 2 inputs to {shape}; expected features (2, D). Pool and flatten them in a "
            "module around it"
        )
    return features.shape[1]
