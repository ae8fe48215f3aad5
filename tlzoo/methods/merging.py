"""Merging: networks that were fine-tuned apart, one a task, become one by their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting

__all__ = ["Merging"]

Weights = Mapping[str, Tensor]


class Merging(Weighting):
    """Merges the weights of networks that were fine-tuned from one start, the alternative to joint training.

    :class:`~tlzoo.lit.Multitask` trains a copy of the network for each task, and answers by the merged one and the
    tasks' own heads. A method implements :meth:`merge`.

    Args:
        num_tasks: T.
    """

    implements: ClassVar[str] = "merge(start, states)"

    @final
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return T ones: no weight is trained by two tasks."""
        return torch.ones_like(losses)

    @final
    def merged(self, start: Weights, states: Sequence[Weights]) -> dict[str, Tensor]:
        """Return the merged weights.

        Args:
            start: weights before fine-tuning, by name.
            states: weights after it, one of each task.

        Raises:
            ValueError: there are more or fewer states than tasks, or they differ in names or shapes.
        """
        if len(states) != self.num_tasks:
            raise ValueError(f"{type(self).__name__}: weights of {len(states)} networks for {self.num_tasks} tasks")
        return self.merge(start, states)

    def merge(self, start: Weights, states: Sequence[Weights]) -> dict[str, Tensor]:
        """Return what :meth:`merged` does, from as many states as tasks."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")
