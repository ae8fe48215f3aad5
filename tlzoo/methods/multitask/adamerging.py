"""AdaMerging: learn how far to follow each task's change, by the certainty of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tlzoo.errors import InputError
from tlzoo.functional import entropy
from tlzoo.functional.checks import check_choice, check_counts, check_positive, check_shares
from tlzoo.functional.merging import check_same
from tlzoo.methods.base import fitted
from tlzoo.methods.merging import Merging, TaskNetworks, class_scores, has_classes
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["AdaMerging"]


class AdaMerging(Merging):
    r"""AdaMerging (Yang et al., ICLR 2024), https://arxiv.org/abs/2310.02575.

    .. math:: \theta_l = \theta_{0,l} + \sum_t \lambda_{t,l} (\theta_{t,l} - \theta_{0,l})

    with a coefficient in [0, 1] for each task, or for each task and weight tensor l. Adam lowers the entropy of the
    answers to unlabelled test inputs, summed over tasks; it sees the whole test before it answers.

    Differs from the paper: every input is answered for all tasks, where theirs has data sets of its own for each task;
    tasks without classes have no entropy, and their coefficients follow that of the others; normalization statistics
    are averaged.

    Args:
        num_tasks: T.
        coefficients: one for each ``"layer"`` (weight tensor), or for each ``"task"``.
        initial: coefficient at the start.
        steps: of Adam.
        lr: learning rate of Adam.
        batch_size: test inputs per step; the authors' code takes two batches of 16.
    """

    paper = Paper(
        title="AdaMerging: Adaptive Model Merging for Multi-Task Learning",
        authors=("Yang", "Wang", "Shen", "Liu", "Guo", "Wang", "Tao"),
        venue="ICLR",
        year=2024,
        arxiv="2310.02575",
    )
    sees = Merging.sees | {Sees.TEST_INPUTS}
    variants = ({"steps": 3, "batch_size": 4}, {"steps": 3, "batch_size": 4, "coefficients": "task"})

    def __init__(
        self,
        num_tasks: int,
        *,
        coefficients: str = "layer",
        initial: float = 0.3,
        steps: int = 500,
        lr: float = 1e-3,
        batch_size: int = 32,
    ) -> None:
        super().__init__(num_tasks)
        check_choice(coefficients, ("layer", "task"), what="coefficients")
        check_shares(initial=initial)
        check_counts(steps=steps, batch_size=batch_size)
        check_positive(lr=lr)
        self.coefficients, self.initial = coefficients, initial
        self.steps, self.lr, self.batch_size = steps, lr, batch_size
        self.random = RandomStream()
        self.reserve("learned", num_tasks, 1)

    def learn(self, networks: TaskNetworks) -> None:
        """Learn the coefficients from unlabelled inputs."""
        heads = [head for head in networks.heads if has_classes(head)]
        if not heads:
            raise InputError("AdaMerging lowers the entropy over classes, and no task has classes")
        start, states = networks.weights()
        layers = len(start) if self.coefficients == "layer" else 1
        raw = next(iter(start.values())).new_full((self.num_tasks, layers), self.initial).requires_grad_(True)
        optimizer, generator, buffers = torch.optim.Adam([raw], lr=self.lr), self.random.constant(), networks.buffers()
        order = networks.drawn(networks.size, generator)
        for _ in range(self.steps):
            if len(order) < self.batch_size:
                order = networks.drawn(networks.size, generator)
            places, order = order[: self.batch_size], order[self.batch_size :]
            weights = _moved(start, states, raw.clamp(0, 1))
            features = networks.features(weights | buffers, networks.inputs(places))
            terms = [entropy(class_scores(head, head(features))).mean() for head in heads]
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(terms).sum(), inputs=[raw])
            optimizer.step()
        self.learned = raw.detach().clamp(0, 1)

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the start moved by each task's changes times their coefficients."""
        return _moved(start, states, fitted(self, "learned", by="fit first (Multitask.study)"))


def _moved(start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]], shares: Tensor) -> dict[str, Tensor]:
    """Return the start plus changes times coefficients (T, L); L is the number of weights, or 1."""
    check_same([start, *states])
    moved = {}
    for (name, value), own in zip(start.items(), shares.expand(-1, len(start)).unbind(dim=1), strict=True):
        changes = torch.stack([state[name] - value for state in states])
        moved[name] = value + torch.tensordot(own, changes, dims=1)
    return moved
