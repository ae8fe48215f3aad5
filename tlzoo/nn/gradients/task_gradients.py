"""The gradients of T tasks for their shared parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlzoo.functional.gramians import resolved_gramian
from tlzoo.nn.gradients.blocks import Block, FeatureBlock
from tlzoo.nn.gradients.deliver import deliver
from tlzoo.nn.gradients.linear import LinearBlock

__all__ = ["TaskGradients"]

_CLEARLY = 1e-2
"""Smallest eigenvalue of cosines, relative to the largest, that rounding of 1e-7 hardly changes."""
_LONG = 1e-12
"""Length of a row whose square float32 has with all digits, even where it is the sum of a million parts."""


class TaskGradients:
    """A Jacobian J (T, P) whose rows are the gradients of the tasks' losses, kept in parts.

    Args:
        blocks: the parts, each for some of the shared parameters.
        losses: T scalars.
        private: parameters after the shared part.
        own: their gradients by task; None if a task does not depend on one.
        made_in: the type that gradients passed through, which is less exact than that of the losses under autocast.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        losses: Sequence[Tensor],
        private: Sequence[Tensor],
        own: Sequence[Sequence[Tensor | None]],
        made_in: torch.dtype = torch.float64,
    ) -> None:
        self.made_in = made_in
        self.blocks, self.losses = tuple(blocks), torch.stack(list(losses)).detach()
        self._private, self._own = tuple(private), tuple(zip(*own, strict=True))

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The parameters of the columns of J, in order."""
        return tuple(p for block in self.blocks for p in block.parameters)

    def gramian(self) -> Tensor:
        """Return G = J J^T (T, T) in float64, in which dependent rows show whatever the precision of J.

        Layers that are kept in factors are multiplied in their own precision first. Where that leaves rows that may be
        dependent, as the last digits of G then decide, they are multiplied once more in float64. What only the rounding
        of half precision puts into G is taken out of it.
        """
        quick = [b for b in self.blocks if isinstance(b, LinearBlock) and b.inputs.dtype == torch.float32]
        exact = [block.gramian() for block in self.blocks if block not in quick]
        gramian = torch.stack([*exact, *[block.quick_gramian() for block in quick]]).sum(dim=0)
        halves = self.made_in in (torch.bfloat16, torch.float16)
        if not (quick or halves) or _clearly_independent(gramian):
            return gramian
        if quick:
            gramian = torch.stack([*exact, *[block.gramian() for block in quick]]).sum(dim=0)
        return resolved_gramian(gramian, gradients=self.made_in).to(gramian) if halves else gramian

    def jacobian(self) -> Tensor:
        """Return J (T, P) as one matrix, which the other functions avoid."""
        return torch.cat([rows for block in self.blocks for rows in block.rows()], dim=1)

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return J^T w for weights (T,), one tensor for each of :attr:`parameters`."""
        return tuple(gradient for block in self.blocks for gradient in block.combined(weights))

    def features(self) -> tuple[Tensor, ...]:
        """Return the values (B, ...) at the cut if J has a column for each of their entries, otherwise nothing.

        With several processes they cover the whole batch, like the columns.
        """
        return tuple(block.values() for block in self.blocks if isinstance(block, FeatureBlock))

    def deliver(self, weights: Tensor, *, private: Tensor | None = None) -> Tensor:
        """Return the weighted loss; backward gives the shared parameters J^T w, and the private ones their own.

        Args:
            weights: (T,).
            private: (T,) weights of the gradients of private parameters; None for ones.
        """
        return self._deliver((weights.to(self.losses) * self.losses).sum(), self.combined(weights), private)

    def deliver_direction(self, direction: Tensor, *, private: Tensor | None = None) -> Tensor:
        """Return the summed loss; backward gives the shared parameters a direction (P,) instead of J^T w.

        Args:
            direction: (P,).
            private: as in :meth:`deliver`.

        Raises:
            ValueError: the length of the direction is not the number of columns of J.
        """
        sizes = [block.columns for block in self.blocks]
        if direction.shape != (sum(sizes),):
            raise ValueError(f"a direction of shape {tuple(direction.shape)}; expected ({sum(sizes)},), one per column")
        parts = zip(self.blocks, torch.split(direction, sizes), strict=True)
        return self._deliver(self.losses.sum(), [own for block, part in parts for own in block.parted(part)], private)

    def _deliver(self, value: Tensor, shared: Sequence[Tensor], private: Tensor | None) -> Tensor:
        weights = [None] * len(self.losses) if private is None else private.unbind()
        known = [
            (p, own)
            for p, by_task in zip(self._private, self._own, strict=True)
            if (own := _summed(by_task, weights)) is not None
        ]
        tensors = [*self.parameters, *[p for p, _ in known]]
        return deliver(value, tensors, [*shared, *[gradient for _, gradient in known]])


def _summed(gradients: Sequence[Tensor | None], weights: Sequence[Tensor | None]) -> Tensor | None:
    """Return the weighted sum of those that exist; without weights, all count 1."""
    total: Tensor | None = None
    for gradient, weight in zip(gradients, weights, strict=True):
        if gradient is not None:
            part = gradient if weight is None else weight.to(gradient) * gradient
            total = part if total is None else total + part
    return total


def _clearly_independent(gramian: Tensor) -> bool:
    """Say whether rows are far from depending on each other, and long enough for products in float32."""
    gramian = gramian.cpu()
    lengths = gramian.diagonal().clamp_min(0).sqrt()
    if float(lengths.min()) < _LONG:
        return False
    values = torch.linalg.eigvalsh(gramian / lengths / lengths[:, None])
    return bool(values[0] > _CLEARLY * values[-1])
