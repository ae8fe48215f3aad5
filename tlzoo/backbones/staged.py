"""The base of all built-in networks: a plain composition of named stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.types import Backbone, LayerGroup, Modality

__all__ = ["ConvStaged", "Preprocess", "Staged"]


class Preprocess(Protocol):
    """A function from raw items to a tensor, with an identity for the feature cache."""

    @property
    def identity(self) -> str:
        """Its part of the feature cache's key."""
        ...

    def __call__(self, items: Any) -> Tensor:
        """Turn raw items into the network's input."""
        ...


class Staged(Backbone):
    """A composition of stages, a pooling, and optionally a last trained stage.

    Args:
        name: name that it was created by.
        modality: modality of the raw items.
        preprocess: preprocessing of the raw items.
        expects: shape of one input; None if any size will do.
        num_features: D.
        body: stages by name, stem first.
        pool: flattens the map of the body; it belongs to the last group unless there is a head.
        head: a stage after the pooling, in its own group ``fc``.
    """

    composable = True

    def __init__(
        self,
        name: str,
        modality: Modality,
        preprocess: Preprocess,
        *,
        expects: tuple[int | None, ...],
        num_features: int,
        body: Mapping[str, nn.Module],
        pool: nn.Module,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.name, self.modality, self.num_features = name, modality, num_features
        self._preprocess, self._expects = preprocess, expects
        self.body, self.pool, self.head = nn.ModuleDict(body), pool, head

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, ...) to features (B, D).

        Raises:
            ValueError: an input has the wrong shape for this network.
        """
        features: Tensor = self.pool(self._run_body(inputs))
        return features if self.head is None else self.head(features)

    def _run_body(self, inputs: Tensor) -> Tensor:
        given = inputs.shape[1:]
        if len(given) != len(self._expects) or any(
            want not in (None, have) for have, want in zip(given, self._expects, strict=True)
        ):
            expected = ", ".join("any" if want is None else str(want) for want in self._expects)
            raise InputError(
                f"{self.name}: inputs of shape {tuple(inputs.shape)}; expected (B, {expected}). Run preprocess() "
                "on raw items first, or create the backbone with the settings that fit them"
            )
        for stage in self.body.values():
            inputs = stage(inputs)
        return inputs

    def preprocess(self, items: Any) -> Tensor:
        """Turn raw items into the input of ``forward``."""
        return self._preprocess(items)

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess``."""
        return self._preprocess.identity

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the stages in order; running them one after the other equals ``forward``."""
        parts = [(name, (stage,)) for name, stage in self.body.items()]
        if self.head is None:
            last, modules = parts[-1]
            groups = [*parts[:-1], (last, (*modules, self.pool))]
        else:
            groups = [*parts, ("fc", (self.pool, self.head))]
        return tuple(LayerGroup(name=name, modules=modules) for name, modules in groups)


class ConvStaged(Staged):
    """A composition whose body ends in a feature map."""

    def forward_map(self, inputs: Tensor) -> Tensor:
        """Map inputs to the feature map (B, C, H, W) before pooling; a series has H = 1 and W = its length."""
        features = self._run_body(inputs)
        return features.unsqueeze(2) if features.dim() == 3 else features
