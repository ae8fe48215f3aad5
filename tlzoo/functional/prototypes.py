"""Class means of support sets, batched over episodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["negative_squared_distances", "prototypes"]


def prototypes(support: Tensor, labels: Tensor, way: int) -> Tensor:
    """Return the class means (E, way, D) of support (E, S, D) with labels (E, S).

    Raises:
        ValueError: a class of an episode has no support; the episode and the class are named.
    """
    members = F.one_hot(labels, way).to(support.dtype)
    counts = members.sum(dim=1)
    if bool((counts == 0).any()):
        episode, missing = torch.nonzero(counts == 0)[0].tolist()
        raise ValueError(f"episode {episode}: class {missing} of {way} has no support; give each class one at least")
    return (members.transpose(1, 2) @ support) / counts.unsqueeze(2)


def negative_squared_distances(query: Tensor, centers: Tensor) -> Tensor:
    """Return -||q - c||^2 for query (E, Q, D) and centers (E, W, D) as (E, Q, W)."""
    shift = centers.mean(dim=1, keepdim=True).detach()  # distances do not change; float32 keeps more digits
    query, centers = query - shift, centers - shift
    products = query @ centers.transpose(1, 2)
    return 2 * products - query.square().sum(-1, keepdim=True) - centers.square().sum(-1).unsqueeze(1)
