"""Base of the weightings that look at the task gradients themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tlzoo.methods.base import Weighting

__all__ = ["JacobianWeighting"]


class JacobianWeighting(Weighting):
    """Base of the weightings that ask for the Jacobian itself.

    Attributes:
        wide: names of buffers (T, P), empty until :meth:`widened` is called and as wide as stored once a state is
            loaded.
    """

    order: ClassVar[Literal["losses", "gramian", "jacobian"]] = "jacobian"
    wide: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks)
        for name in self.wide:
            self.register_buffer(name, torch.zeros(num_tasks, 0))

    def widened(self, name: str, jacobian: Tensor) -> Tensor:
        """Return a buffer, of zeros like the Jacobian (T, P) where it is empty.

        Raises:
            ValueError: the Jacobian has another shape than before.
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

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.wide:
            if (stored := state_dict.get(f"{prefix}{name}")) is not None:
                self.register_buffer(name, torch.empty_like(stored, device=self.get_buffer(name).device))
        super()._load_from_state_dict(state_dict, prefix, *rest)
