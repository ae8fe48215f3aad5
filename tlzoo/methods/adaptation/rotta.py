"""RoTTA: a balanced memory of the stream, robust statistics, and a slow teacher."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam, Optimizer

from tlzoo.functional.checks import check_counts, check_shares
from tlzoo.methods.augmenting import Augment, changed, check_augment
from tlzoo.methods.test_time import Online
from tlzoo.nn.memory_bank import Memory
from tlzoo.nn.normalization import batch_layers
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["BalancedMemory", "RoTTA"]


class RoTTA(Online):
    r"""Robust test-time adaptation (Yuan, Xie & Li, CVPR 2023), https://arxiv.org/abs/2303.13899.

    A teacher answers, with running statistics. Items enter a memory that holds as many of each predicted class as of
    the others, and lets the old and the uncertain go. After every ``capacity`` items, the student takes an Adam step on
    the memory,

    .. math:: \frac{1}{M} \sum_i \frac{e^{-a_i}}{1 + e^{-a_i}} \mathrm{CE}(\text{student}, \text{teacher}),

    with the age a of an item over the capacity; batch normalization blends the running statistics with those of the
    memory by ``rate``, and keeps the blend. The teacher follows the student.

    Differs from the paper: the user says how the student's inputs are augmented (``augment``), as that depends on their
    kind. Without it student and teacher agree, and the statistics alone adapt.

    Args:
        model: the source model; copied.
        lr: learning rate of Adam.
        capacity: number of items in memory, and between two steps.
        rate: weight of the memory's statistics in batch normalization.
        smoothing: of the teacher.
        age_weight: weight of age in the score by which items leave.
        uncertainty_weight: weight of entropy in it.
        augment: maps inputs (B, ...) and a generator to changed inputs, or names a view, see
            :func:`~tlzoo.methods.augmenting.changed`; None for none.
    """

    label = "RoTTA"
    paper = Paper(
        title="Robust Test-Time Adaptation in Dynamic Scenarios",
        authors=("Yuan", "Xie", "Li"),
        venue="CVPR",
        year=2023,
        arxiv="2303.13899",
    )
    variants = ({}, {"capacity": 4})

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        capacity: int = 64,
        rate: float = 0.05,
        smoothing: float = 0.999,
        age_weight: float = 1.0,
        uncertainty_weight: float = 1.0,
        augment: Augment | str | None = None,
    ) -> None:
        check_augment(augment)
        self.lr = lr
        super().__init__(model)
        check_counts(capacity=capacity)
        check_shares(rate=rate, smoothing=smoothing)
        self.capacity, self.rate, self.smoothing, self.augment = capacity, rate, smoothing, augment
        self.age_weight, self.uncertainty_weight = age_weight, uncertainty_weight
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)
        self.memory = BalancedMemory(capacity, age_weight=age_weight, uncertainty_weight=uncertainty_weight)
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether the order of items matters: it decides what is in memory."""
        return True

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return Adam."""
        return Adam(parameters, lr=self.lr)

    def adapt(self, inputs: Any) -> Tensor:
        """Return the teacher's logits (B, C), and learn where the memory is due."""
        with torch.no_grad():
            logits = self.predict(inputs, self.teacher).logits
            probabilities = logits.softmax(dim=1)
            uncertainty = -(probabilities * (probabilities + 1e-6).log()).sum(dim=1)
        for item, label, doubt in zip(inputs, logits.argmax(dim=1).tolist(), uncertainty, strict=True):
            self.memory.add(item, label, float(doubt), classes=logits.shape[1])
            if int(self.memory.seen) % self.capacity == 0:
                self._learn_from_memory()
        return logits

    def _learn_from_memory(self) -> None:
        items, generator = self.memory.get_buffer("items"), self.random.next()
        with torch.no_grad(), self._robust(self.teacher):
            answers = self.predict(items, self.teacher).logits.softmax(dim=1)
        with self._robust(self.model):
            shown = items if self.augment is None else changed(self.augment, items, generator)
            logits = self.predict(shown).logits
        weights = torch.sigmoid(-self.memory.get_buffer("ages") / self.capacity)
        self.step((weights * -(answers * logits.log_softmax(dim=1)).sum(dim=1)).mean())
        with torch.no_grad():
            for teacher, student in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
                teacher.lerp_(student, 1 - self.smoothing)

    @contextmanager
    def _robust(self, network: nn.Module) -> Iterator[None]:
        """Let batch normalization blend its running statistics with the batch's, and keep the blend."""

        def blend(layer: _BatchNorm, given: tuple[Tensor, ...]) -> tuple[Tensor]:
            flat = given[0].transpose(0, 1).flatten(1)
            running = [layer.get_buffer(name) for name in ("running_mean", "running_var")]
            found = (flat.mean(dim=1), flat.var(dim=1, unbiased=False))
            mean, var = (torch.lerp(old, new, self.rate) for old, new in zip(running, found, strict=True))
            for old, new in zip(running, (mean, var), strict=True):
                old.copy_(new.detach())
            shape = (1, -1, *[1] * (given[0].ndim - 2))
            # the layer takes the kept statistics away again: its output has the blend's value and gradient
            ratio = ((var.detach() + layer.eps) / (var + layer.eps)).sqrt()
            return ((given[0] - mean.view(shape)) * ratio.view(shape) + mean.detach().view(shape),)

        hooks = [layer.register_forward_pre_hook(blend) for layer in batch_layers(network)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.teacher.load_state_dict(self.initial.state_dict())
        self.memory.clear()
        self.random.restart()


class BalancedMemory(Memory):
    """Items with their predicted classes, entropies and ages: the category-balanced sampling of RoTTA.

    Args:
        capacity: the largest number of items.
        age_weight: weight of age in the score by which items leave.
        uncertainty_weight: weight of entropy in it.
    """

    seen: Tensor

    def __init__(self, capacity: int, *, age_weight: float, uncertainty_weight: float) -> None:
        super().__init__(
            items=torch.zeros(0),
            labels=torch.zeros(0, dtype=torch.long),
            doubts=torch.zeros(0),
            ages=torch.zeros(0),
            seen=torch.zeros((), dtype=torch.long),
        )
        self.capacity, self.age_weight, self.uncertainty_weight = capacity, age_weight, uncertainty_weight

    def add(self, item: Tensor, label: int, doubt: float, *, classes: int) -> None:
        """Replace a worse item, if there is one, by this item; all others grow older."""
        labels, ages, doubts = (self.get_buffer(name) for name in ("labels", "ages", "doubts"))
        counts = torch.bincount(labels, minlength=classes)
        free = int(counts[label]) < self.capacity / classes
        enters, leaves = True, None
        if not free or len(labels) >= self.capacity:
            rivals = counts == counts.max() if free else torch.arange(classes, device=labels.device) == label
            places = self._by_class(rivals[labels].nonzero()[:, 0], labels)
            if len(places):
                scores = self._score(ages[places], doubts[places], classes)
                # of equals the last, as the authors' loop over classes and their items finds them
                worst = len(places) - 1 - int(scores.flip(0).argmax())
                own = self._score(ages.new_zeros(()), ages.new_tensor(doubt), classes)
                enters, leaves = bool(scores[worst] > own), int(places[worst])
        if enters:
            self._replace(leaves, item, label, doubt)
        self.ages = self.get_buffer("ages") + 1
        self.seen = self.seen + 1

    @staticmethod
    def _by_class(places: Tensor, labels: Tensor) -> Tensor:
        return places[labels[places].argsort(stable=True)]

    def _score(self, ages: Tensor, doubts: Tensor, classes: int) -> Tensor:
        return self.age_weight * torch.sigmoid(ages / self.capacity) + self.uncertainty_weight * doubts / math.log(
            classes
        )

    def _replace(self, leaves: int | None, item: Tensor, label: int, doubt: float) -> None:
        kept = [place for place in range(len(self.get_buffer("labels"))) if place != leaves]
        for name, value in (("items", item), ("labels", label), ("doubts", doubt), ("ages", 0)):
            held = self.get_buffer(name)
            fresh = torch.as_tensor(value, device=item.device)[None]
            fresh = fresh if name == "items" else fresh.to(held.dtype)
            setattr(self, name, torch.cat([held[kept], fresh]) if kept else fresh)

    def clear(self) -> None:
        """Forget everything."""
        for name in ("items", "labels", "doubts", "ages"):
            held = self.get_buffer(name)
            setattr(self, name, held.new_zeros(0))
        self.seen = torch.zeros_like(self.seen)
