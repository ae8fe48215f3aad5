"""The gradients of T tasks for what they share, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlzoo.nn.gradients.blocks import Block
from tlzoo.nn.gradients.deliver import deliver
from tlzoo.nn.gradients.linear import LinearBlock

__all__ = ["TaskGradients"]

_CLEARLY = 1e-2
"""Least eigenvalue of cosines, as a share of the largest, that rounding of 1e-7 hardly changes."""


class TaskGradients:
    """A Jacobian J (T, P), its rows the gradients of the tasks' losses, kept in parts.

    Args:
        blocks: the parts, each for some of the shared parameters.
        losses: T scalars.
        private: parameters behind the shared part.
        own: their gradients, of the plain sum of the losses; None where there is none.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        losses: Sequence[Tensor],
        private: Sequence[Tensor],
        own: Sequence[Tensor | None],
    ) -> None:
        self.blocks, self.losses = tuple(blocks), torch.stack(list(losses)).detach()
        self._own = [(p, gradient) for p, gradient in zip(private, own, strict=True) if gradient is not None]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What the columns of J belong to, in their order."""
        return tuple(p for block in self.blocks for p in block.parameters)

    def gramian(self) -> Tensor:
        """Return G = J J^T (T, T) in float64, in which dependent rows show whatever the precision of J.

        Layers that are kept in factors are multiplied in their own precision first. Where that leaves rows that may be
        dependent, as the last digits of G then decide, they are multiplied once more in float64.
        """
        factored = [block for block in self.blocks if isinstance(block, LinearBlock)]
        rest = [block.gramian() for block in self.blocks if not isinstance(block, LinearBlock)]
        quick = _total([*rest, *[block.quick_gramian() for block in factored]])
        if not factored or factored[0].inputs.dtype == torch.float64 or _clearly_independent(quick):
            return quick
        return _total([*rest, *[block.gramian() for block in factored]])

    def jacobian(self) -> Tensor:
        """Return J (T, P) as one matrix; this is what the other functions avoid."""
        return torch.cat([rows for block in self.blocks for rows in block.rows()], dim=1)

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return J^T w for weights (T,), one tensor for each of :attr:`parameters`."""
        return tuple(gradient for block in self.blocks for gradient in block.combined(weights))

    def deliver(self, weights: Tensor) -> Tensor:
        """Return the weighted loss; backward gives the shared parameters J^T w, and the private ones their own.

        Args:
            weights: (T,).
        """
        return self._deliver((weights.to(self.losses) * self.losses).sum(), self.combined(weights))

    def deliver_direction(self, direction: Tensor) -> Tensor:
        """Return the summed loss; backward gives the shared parameters a direction (P,) in place of J^T w.

        Raises:
            ValueError: the direction has another length than J has columns.
        """
        sizes = [p.numel() for p in self.parameters]
        if direction.shape != (sum(sizes),):
            raise ValueError(f"a direction of shape {tuple(direction.shape)}; expected ({sum(sizes)},), one a column")
        return self._deliver(self.losses.sum(), torch.split(direction, sizes))

    def _deliver(self, value: Tensor, shared: Sequence[Tensor]) -> Tensor:
        tensors = [*self.parameters, *[p for p, _ in self._own]]
        return deliver(value, tensors, [*shared, *[gradient for _, gradient in self._own]])


def _total(gramians: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(gramians)).sum(dim=0)


def _clearly_independent(gramian: Tensor) -> bool:
    """Say whether rows that are not zero are far from depending on each other."""
    gramian = gramian.cpu()
    there = gramian.diagonal() > 0
    lengths = gramian.diagonal()[there].sqrt()
    values = torch.linalg.eigvalsh(gramian[there][:, there] / lengths / lengths[:, None])
    return not len(values) or bool(values[0] > _CLEARLY * values[-1])
