"""CoTTA: learn from a slowly moving teacher, and reset some parameters to the source."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.methods.augmenting import Augment, changed, check_augment
from tlzoo.methods.test_time import Online
from tlzoo.nn.normalization import batch_layers
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["CoTTA", "threshold_by_classes"]


class CoTTA(Online):
    """Continual test-time adaptation (Wang et al., CVPR 2022), https://arxiv.org/abs/2203.13591.

    A teacher answers. The student takes one step on the cross-entropy to the teacher's answers, the teacher follows it
    by ``smoothing``, and each of the student's parameters goes back to its source value with probability ``restore``.
    Where the source model is not certain (mean of the largest probability below ``threshold``), the teacher's answers
    are means over ``augmentations`` changed versions of the batch.

    The paper's settings for ImageNet are SGD with ``lr=0.01`` and ``restore=0.001``.

    Differs from the paper: Adam throughout; the user says how inputs are augmented (``augment``), as that depends on
    their kind; without it the teacher answers the batch as it is.

    Args:
        model: the source model; copied.
        lr: of Adam.
        smoothing: of the teacher.
        restore: probability.
        threshold: of the source model's certainty; None for :func:`threshold_by_classes`.
        augmentations: how many.
        augment: maps inputs (B, ...) and a generator to changed inputs, or names a view, see
            :func:`~tlzoo.methods.augmenting.changed`; None for none.
    """

    paper = Paper(
        title="Continual Test-Time Domain Adaptation",
        authors=("Wang", "Fink", "Van Gool", "Dai"),
        venue="CVPR",
        year=2022,
        arxiv="2203.13591",
    )
    revision = 3
    variants = ({}, {"restore": 0.5})

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        smoothing: float = 0.999,
        restore: float = 0.01,
        threshold: float | None = None,
        augmentations: int = 32,
        augment: Augment | str | None = None,
    ) -> None:
        check_positive(lr=lr)
        check_augment(augment)
        check_shares(smoothing=smoothing, restore=restore)
        check_counts(low=0, augmentations=augmentations)
        self.lr = lr
        super().__init__(model)
        self.smoothing, self.restore, self.threshold = smoothing, restore, threshold
        self.augmentations, self.augment = augmentations, augment
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)
        for layer in batch_layers(self.initial):
            layer.momentum = 0.0
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters: each changed item draws its own numbers."""
        return self.augment is not None

    def select(self) -> list[nn.Parameter]:
        """Return all parameters."""
        return list(self.model.parameters())

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return Adam."""
        return Adam(parameters, lr=self.lr)

    def adapt(self, inputs: Any) -> Tensor:
        """Return the teacher's logits (B, C) from before the step."""
        generator = self.random.next()
        with torch.no_grad():
            answers = self._teach(inputs, generator)
        if self.can_learn_from(inputs):
            logits = self.answer(inputs).logits
            self.step(-(answers.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).mean())
            self._follow(generator)
        return answers

    def _teach(self, inputs: Any, generator: torch.Generator) -> Tensor:
        answers = self.answer(inputs, self.teacher).logits
        if self.augment is None:
            return answers
        threshold = threshold_by_classes(answers.shape[1]) if self.threshold is None else self.threshold
        if self.answer(inputs, self.initial).logits.softmax(dim=1).amax(dim=1).mean() >= threshold:
            return answers
        versions = [changed(self.augment, inputs, generator) for _ in range(self.augmentations)]
        return torch.stack([self.answer(version, self.teacher).logits for version in versions]).mean(dim=0)

    @torch.no_grad()
    def _follow(self, generator: torch.Generator) -> None:
        triples = zip(self.teacher.parameters(), self.model.parameters(), self.initial.parameters(), strict=True)
        for teacher, student, start in triples:
            teacher.lerp_(student, 1 - self.smoothing)
            back = torch.rand(student.shape, generator=generator).to(student.device) < self.restore
            student.copy_(torch.where(back, start, student))

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.teacher.load_state_dict(self.initial.state_dict())
        self.random.restart()


def threshold_by_classes(num_classes: int) -> float:
    """Return CoTTA's bound on the source model's certainty: 0.92 for 10 classes, 0.72 for 100, 0.1 for 1,000.

    The authors' values, linear in the logarithm of the number of classes between, the same beyond.

    >>> [round(threshold_by_classes(c), 2) for c in (2, 10, 100, 1000)]
    [0.92, 0.92, 0.72, 0.1]
    """
    return float(np.interp(math.log10(num_classes), (1, 2, 3), (0.92, 0.72, 0.1)))
