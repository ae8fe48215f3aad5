"""Merging: networks that were fine-tuned apart, one a task, become one by their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from tlzoo.errors import InputError
from tlzoo.functional import average_weights
from tlzoo.methods.weighting import Weighting
from tlzoo.nn.task_heads import ClassHead, DenseHead, OrdinalHead, TaskHead

__all__ = ["Merging", "TaskNetworks", "class_scores", "has_classes"]

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class TaskNetworks:
    """Fine-tuned networks, and the inputs at which a method of merging looks.

    Attributes:
        start: maps raw inputs to features, with the weights before fine-tuning.
        bodies: the same network after it, one of each task; no batch changes their statistics.
        heads: the tasks' heads on the features.
        size: N, the number of inputs.
        inputs: maps indices (B,) to raw inputs.
    """

    start: nn.Module
    bodies: Sequence[nn.Module]
    heads: Sequence[TaskHead]
    size: int
    inputs: Callable[[NDArray[np.int64]], Any]

    def weights(self) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """Return the detached weights at the start, and of each task."""
        start, *trained = (
            {name: value.detach() for name, value in body.named_parameters()} for body in (self.start, *self.bodies)
        )
        return start, trained

    def buffers(self) -> dict[str, Tensor]:
        """Return the mean statistics of the tasks, with which merged weights answer."""
        return average_weights([dict(body.named_buffers()) for body in self.bodies])

    def drawn(self, count: int, generator: torch.Generator) -> NDArray[np.int64]:
        """Return the indices of ``count`` inputs in random order, or of all if there are fewer."""
        order: NDArray[np.int64] = torch.randperm(self.size, generator=generator).numpy()
        return order[:count]

    def features(self, weights: Weights, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to the features (B, D) of the network with other weights."""
        found: Tensor = functional_call(self.start, dict(weights), (inputs,))
        return found


class Merging(Weighting):
    """Merges the weights of networks that were fine-tuned from one start, the alternative to joint training.

    :class:`~tlzoo.lit.Multitask` trains a copy of the network for each task, and answers by the merged one and the
    tasks' own heads. A method implements :meth:`merge`, and :meth:`learn` if it looks at data: at training inputs, or
    at those of the test if it declares them.

    Args:
        num_tasks: T.
    """

    implements: ClassVar[str] = "merge(start, states) or learn(networks)"

    @final
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return T ones: no weight is trained by two tasks."""
        return torch.ones_like(losses)

    @property
    def looks_at_data(self) -> bool:
        """Whether it needs :meth:`fit`."""
        return type(self).learn is not Merging.learn

    @final
    def fit(self, networks: TaskNetworks) -> None:
        """Look at the fine-tuned networks and at inputs; in your own loop, after training.

        Raises:
            ValueError: there are more or fewer networks than tasks, or no inputs.
        """
        self._check_count(len(networks.bodies))
        if networks.size < 1:
            raise ValueError(f"{type(self).__name__}: no inputs to look at")
        with torch.inference_mode(False), torch.enable_grad():
            self.learn(networks)

    def learn(self, networks: TaskNetworks) -> None:
        """Keep what :meth:`merge` needs of the networks and inputs; gradients are on."""

    @final
    def merged(self, start: Weights, states: Sequence[Weights]) -> dict[str, Tensor]:
        """Return the merged weights.

        Args:
            start: weights before fine-tuning, by name.
            states: weights after it, one of each task.

        Raises:
            ValueError: there are more or fewer states than tasks, or they differ in names or shapes.
            RuntimeError: the method looks at data, and :meth:`fit` has not been called.
        """
        self._check_count(len(states))
        return self.merge(start, states)

    def merge(self, start: Weights, states: Sequence[Weights]) -> dict[str, Tensor]:
        """Return what :meth:`merged` does, from as many states as tasks."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def _check_count(self, count: int) -> None:
        if count != self.num_tasks:
            raise ValueError(f"{type(self).__name__}: weights of {count} networks for {self.num_tasks} tasks")


def has_classes(head: TaskHead) -> bool:
    """Return whether a head answers by classes, for each item or position."""
    return isinstance(head, (ClassHead, OrdinalHead)) or (type(head) is DenseHead and bool(head.classes))


def class_scores(head: TaskHead, output: Tensor) -> Tensor:
    """Return an output's logits (N, C) of the softmax over classes, a row for each item or position.

    Raises:
        ValueError: the head answers without classes.
    """
    if not has_classes(head):
        raise InputError(f"the answers of a {type(head).__name__} have no classes; leave out this task")
    if isinstance(head, OrdinalHead):
        return head.answer(output).clamp_min(torch.finfo(output.dtype).tiny).log()
    return output.movedim(1, -1).flatten(0, -2)
