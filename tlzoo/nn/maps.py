"""Layers for vectors on feature maps."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["at_positions", "pooled"]


def at_positions(layer: nn.Module, features: Tensor) -> Tensor:
    """Apply a layer for vectors (N, C) at every position of a map: features (B, C, ...) to (B, W, ...).

    Features (B, C) have one position.

    >>> import torch
    >>> at_positions(nn.Linear(3, 5), torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 5, 4, 4])
    """
    if features.ndim == 2:
        result: Tensor = layer(features)
        return result
    last = features.movedim(1, -1)
    rows: Tensor = layer(last.reshape(-1, last.shape[-1]))
    return rows.view(*last.shape[:-1], -1).movedim(-1, 1)


def pooled(features: Tensor) -> Tensor:
    """Return the mean over positions (B, C) of a map (B, C, ...); features (B, C) stay unchanged."""
    return features if features.ndim == 2 else features.flatten(2).mean(dim=2)
