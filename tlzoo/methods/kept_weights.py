"""Weights of a network that a method keeps, as buffers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.types import Backbone

__all__ = ["KeptWeights"]


class KeptWeights(nn.Module):
    """The floating-point state of a backbone and a head at one moment; empty until :meth:`keep`.

    A state dict that holds kept weights restores them, whatever was kept before.
    """

    @property
    def kept(self) -> bool:
        """Whether there are any."""
        return bool(self._buffers)

    @staticmethod
    def of(backbone: Backbone, head: nn.Module) -> dict[str, Tensor]:
        """Return the detached weights by name, after ``backbone.`` and ``head.``; they are not copied.

        Tied weights have one name, as :func:`torch.func.functional_call` takes them.
        """
        networks = nn.ModuleDict({"backbone": backbone, "head": head})
        names = {name for name, _ in (*networks.named_parameters(), *networks.named_buffers())}
        state = networks.state_dict()
        return {name: value for name, value in state.items() if name in names and value.is_floating_point()}

    def keep(self, backbone: Backbone, head: nn.Module) -> None:
        """Keep a copy of the weights as they are."""
        self.replace(self.of(backbone, head))

    def replace(self, weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of other weights."""
        self.clear()
        for place, value in enumerate(weights.values()):
            self.register_buffer(f"kept_{place}", value.clone())

    def clear(self) -> None:
        """Keep nothing."""
        self._buffers.clear()

    def weights(self, backbone: Backbone, head: nn.Module) -> dict[str, Tensor]:
        """Return the kept weights under the names of a network of the same shape."""
        return dict(zip(self.of(backbone, head), self.buffers(), strict=True))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        stored = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        self.clear()
        for name, value in stored.items():
            self.register_buffer(name, torch.empty_like(value))
        super()._load_from_state_dict(state_dict, prefix, *rest)
