"""Heads that know some classes, and say "unknown" by a rule of their own."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

__all__ = ["OpenHead"]

_NEVER = -1e4


class OpenHead(nn.Module):
    """Logits (B, C) of C - 1 known classes, followed by that of "unknown".

    In training the last logit is so low that the known classes share all probability: the supervised loss is that of
    the known classes alone. In evaluation it is above all others where :meth:`doubt` is above 0.
    """

    @abstractmethod
    def known(self, features: Tensor) -> Tensor:
        """Map features (B, D) to the logits (B, C - 1) of the known classes."""

    @abstractmethod
    def doubt(self, features: Tensor, known: Tensor) -> Tensor:
        """Return (B,) how much "unknown" is above the largest of the known logits (B, C - 1), or below."""

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, C)."""
        known = self.known(features)
        if self.training:
            return torch.cat([known, torch.full_like(known[:, :1], _NEVER)], dim=1)
        unknown = known.amax(dim=1) + self.doubt(features, known)
        return torch.cat([known, unknown.unsqueeze(1)], dim=1)
