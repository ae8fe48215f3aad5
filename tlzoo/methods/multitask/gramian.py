"""Base class of the weightings that use inner products of task gradients."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tlzoo.functional.gramians import resolved_gramian
from tlzoo.methods.weighting import Weighting

__all__ = ["GramianWeighting"]


class GramianWeighting(Weighting):
    """Weights from G = J J^T; a subclass solves for the tasks that have a gradient.

    Args:
        num_tasks: T.
    """

    order: ClassVar[Literal["losses", "gramian", "jacobian"]] = "gramian"
    revision = 2

    @torch.no_grad()
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the weights (T,); 0 for tasks without labels in the batch.

        Raises:
            ValueError: the Gramian (T, T) is missing.
        """
        if gramian is None or gramian.shape != (self.num_tasks, self.num_tasks):
            given = "none" if gramian is None else f"one of shape {tuple(gramian.shape)}"
            raise ValueError(
                f"{type(self).__name__} needs the Gramian ({self.num_tasks}, {self.num_tasks}) of the task "
                f"gradients; got {given}: see tlzoo.nn.gradients"
            )
        tasks = torch.arange(self.num_tasks) if self.present is None else self.present.cpu().nonzero().flatten()
        rows = resolved_gramian(gramian.detach().cpu()[tasks][:, tasks], gradients=losses.dtype)
        found = torch.zeros(self.num_tasks, dtype=torch.float64)
        found = found.index_copy(0, tasks, self.solve(rows, tasks))
        return found.to(losses)

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the weights (K,) of K tasks.

        Args:
            gramian: (K, K), float64 on the CPU, with zeros for everything that may be rounding.
            tasks: (K,) their indices among all tasks.
        """
        raise NotImplementedError
