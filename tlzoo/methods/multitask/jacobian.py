"""Base class of the weightings that use the task gradients themselves."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting

__all__ = ["JacobianWeighting"]


class JacobianWeighting(Weighting):
    """Base class of the weightings that need the Jacobian itself.

    Args:
        num_tasks: T.
    """

    order: ClassVar[Literal["losses", "gramian", "jacobian"]] = "jacobian"

    def by_feature(self, jacobian: Tensor) -> list[Tensor]:
        """Return gradients for shared results as (T, B, ...), a tensor each; none for gradients of parameters."""
        parts = torch.split(jacobian, [part.numel() for part in self.features], dim=1) if self.features else ()
        return [own.view(len(own), *part.shape) for own, part in zip(parts, self.features, strict=True)]

    def widened(self, name: str, jacobian: Tensor) -> Tensor:
        """Return a buffer that was reserved as (T, 0); if still empty, fill it with zeros like the Jacobian (T, P).

        Raises:
            ValueError: the Jacobian changed its shape.
        """
        buffer = self.get_buffer(name)
        if not buffer.numel():
            self.register_buffer(name, torch.zeros_like(jacobian))
            return self.get_buffer(name)
        if buffer.shape != jacobian.shape:
            raise ValueError(
                f"{type(self).__name__}: a Jacobian of shape {tuple(jacobian.shape)} after one of "
                f"{tuple(buffer.shape)}; make a new weighting for another network"
            )
        return buffer
