"""Memories of every example of a data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.functional.precision import at_least_float32, matmul

__all__ = ["Memory", "MemoryBank"]


class Memory(nn.Module):
    """Buffers whose first dimension is known late; a loaded state brings its own size.

    >>> one, other = Memory(labels=torch.zeros(0)), Memory(labels=torch.zeros(0))
    >>> one.labels = torch.ones(3)
    >>> other.load_state_dict(one.state_dict())
    <All keys matched successfully>
    >>> other.labels.tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, **buffers: Tensor) -> None:
        super().__init__()
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, buffer in list(self.named_buffers(recurse=False, remove_duplicate=False)):
            stored = state_dict.get(prefix + name)
            if stored is not None:
                with torch.inference_mode(False):  # it may be written to later, in a training step
                    setattr(self, name, torch.empty(stored.shape, dtype=buffer.dtype, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class MemoryBank(Memory):
    """Features and class probabilities of each example, by its index in the data set.

    Filling it sets its size; a loaded state brings its own.

    Args:
        num_features: D.
        num_classes: C.

    >>> bank = MemoryBank(2, 3)
    >>> bank.fill(torch.ones(4, 2), torch.ones(4, 3))
    >>> len(bank)
    4
    """

    features: Tensor
    probabilities: Tensor

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(features=torch.empty(0, num_features), probabilities=torch.empty(0, num_classes))

    def __len__(self) -> int:
        return len(self.features)

    @torch.no_grad()
    def fill(self, features: Tensor, probabilities: Tensor, indices: Tensor | None = None) -> None:
        """Store the whole set: features (N, D) and probabilities (N, C), in the order of ``indices`` (N,) or rows."""
        order = torch.arange(len(features), device=features.device) if indices is None else indices.argsort()
        self.features = at_least_float32(features.detach())[order].clone()
        self.probabilities = at_least_float32(probabilities.detach())[order].clone()

    @torch.no_grad()
    def update(self, indices: Tensor, features: Tensor, probabilities: Tensor) -> None:
        """Replace the entries of ``indices`` (B,).

        Raises:
            ValueError: the bank does not hold an index.
        """
        self._check(indices)
        self.features[indices] = features.detach().to(self.features)
        self.probabilities[indices] = probabilities.detach().to(self.probabilities)

    @torch.no_grad()
    def neighbors(self, indices: Tensor, features: Tensor, count: int) -> Tensor:
        """Return the indices (B, count) of the nearest entries to features (B, D) by inner product, except their own.

        A smaller bank returns fewer.

        Raises:
            ValueError: the bank does not hold an index, or it holds no other entry.
        """
        self._check(indices)
        if len(self) < 2:
            raise ValueError(f"a memory of {len(self)} example holds no neighbors; fill it with two examples or more")
        similarity = matmul(features.detach().to(self.features), self.features.T)
        similarity.scatter_(1, indices[:, None], -torch.inf)
        return similarity.topk(min(count, len(self) - 1), dim=1).indices

    def _check(self, indices: Tensor) -> None:
        if len(indices) and int(indices.max()) >= len(self):
            raise ValueError(
                f"a memory of {len(self)} examples does not hold index {int(indices.max())}; fill it with the whole "
                "data set first"
            )
