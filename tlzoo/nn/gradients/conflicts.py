"""What inner products of task gradients say about conflicts between tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["conflicts"]


def conflicts(gramian: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
    """Return the cosines of all pairs of task gradients, and their norms relative to the mean norm.

    The cosine with a gradient that vanishes in the rounding of the longest one tends to 0.

    Args:
        gramian: (T, T) inner products.
        tasks: T names.

    >>> found = conflicts(torch.tensor([[1.0, -1.0], [-1.0, 4.0]]), ("a", "b"))
    >>> {name: round(value.item(), 2) for name, value in found.items()}
    {'length_a': 0.67, 'length_b': 1.33, 'cosine_a_b': -0.5}
    """
    lengths = gramian.diagonal().clamp_min(0).sqrt()
    least = torch.finfo(lengths.dtype).tiny
    rounding = torch.finfo(lengths.dtype).eps * lengths.max().square()
    relative = lengths / lengths.mean().clamp_min(least)
    shown = {f"length_{task}": length for task, length in zip(tasks, relative, strict=True)}
    for i, first in enumerate(tasks):
        for j, second in enumerate(tasks[i + 1 :], start=i + 1):
            product = (lengths[i] * lengths[j]).maximum(rounding).clamp_min(least)
            shown[f"cosine_{first}_{second}"] = (gramian[i, j] / product).clamp(-1, 1)
    return shown
