"""What is fitted to data before a network is trained, and is a part of it: a transform of features, and a scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

__all__ = ["Preparation", "Side"]

Side = Literal["source", "target"]


class Preparation(nn.Module):
    """Maps features (B, D) to what the backbone is given: a fitted transform of their domain, then a division.

    It does nothing until it is fitted. What is fitted stays as it is while the network trains, and is stored in its
    checkpoint, so that the network answers raw features wherever it is loaded.

    Attributes:
        transform: a fitted :class:`~tlzoo.methods.transforms.FeatureTransform`, or None.
        divisor: a scalar, or None.
    """

    divisor: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.transform: nn.Module | None = None
        self.register_buffer("divisor", None)

    def fit(self, transform: nn.Module | None, divisor: float | None) -> None:
        """Replace its transform and divisor by fitted ones, or by None.

        Raises:
            ValueError: the divisor is not a positive number; features that are all alike have no spread.
        """
        if divisor is not None and not 0 < divisor < float("inf"):
            raise ValueError(f"features cannot be divided by {divisor}; expected a number > 0")
        self.transform = transform
        self.divisor = None if divisor is None else torch.tensor(divisor, dtype=torch.float32)

    @property
    def fitted(self) -> bool:
        """Whether there is anything to do."""
        return self.transform is not None or self.divisor is not None

    def forward(self, inputs: Any, side: Side = "target") -> Any:
        """Return features (B, D) of a domain as the backbone is given them; any inputs as they are before a fit."""
        if self.transform is not None:
            precision = next((buffer.dtype for buffer in self.transform.buffers()), inputs.dtype)
            with torch.autocast(inputs.device.type, enabled=False):
                mapped: Tensor = getattr(self.transform, f"transform_{side}")(inputs.to(precision))
            inputs = mapped.to(inputs.dtype)
        return inputs if self.divisor is None else inputs / self.divisor

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if (stored := state_dict.get(f"{prefix}divisor")) is not None and self.divisor is None:
            self.divisor = torch.empty_like(stored)
        super()._load_from_state_dict(state_dict, prefix, *rest)
