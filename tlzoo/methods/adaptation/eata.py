"""EATA: learn only from certain, non-redundant predictions, without forgetting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_at_least, check_positive, check_shares
from tlzoo.methods.test_time import Online
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper

__all__ = ["EATA", "redundancy_by_classes"]


class EATA(Online):
    r"""Efficient test-time adaptation (Niu et al., ICML 2022), https://arxiv.org/abs/2204.02610.

    Like TENT, but a prediction p counts only if its entropy H is below the limit :math:`E_0 = m \log C` and its cosine
    to the running mean of the counted predictions is below ``redundancy``. A penalty anchors the parameters that
    matter:

    .. math::

        \frac{1}{|S|} \sum_{i \in S} e^{E_0 - H_i} H_i + a \sum_k F_k \left(\theta_k - \theta_k^0\right)^2

    F are the squared gradients on source-like inputs, which you give to :meth:`remember`. Without that call the penalty
    is 0 (ETA in the paper).

    Args:
        model: the source model; copied.
        lr: learning rate of SGD.
        momentum: momentum of SGD.
        margin: m, the limit as a share of the largest entropy.
        redundancy: largest cosine of a prediction to the running mean; None for :func:`redundancy_by_classes`.
        anchoring: weight of the penalty.
    """

    paper = Paper(
        title="Efficient Test-Time Model Adaptation without Forgetting",
        authors=("Niu", "Wu", "Zhang", "Chen", "Zheng", "Zhao", "Tan"),
        venue="ICML",
        year=2022,
        arxiv="2204.02610",
    )
    revision = 3
    variants = ({}, {"margin": 1.0, "redundancy": 1.0})

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 2.5e-4,
        momentum: float = 0.9,
        margin: float = 0.4,
        redundancy: float | None = None,
        anchoring: float = 2000.0,
    ) -> None:
        check_positive(lr=lr, margin=margin)
        check_shares(below_one=True, momentum=momentum)
        check_at_least(0, anchoring=anchoring)
        self.lr, self.momentum = lr, momentum
        super().__init__(model)
        self.margin, self.redundancy, self.anchoring = margin, redundancy, anchoring
        self.mean = Memory(probabilities=torch.zeros(0))
        importance = {str(place): torch.zeros_like(p) for place, p in enumerate(self.trained)}
        start = {f"start{place}": p.detach().clone() for place, p in enumerate(self.trained)}
        self.anchor = Memory(**importance, **start)

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return SGD with momentum."""
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    @torch.enable_grad()
    def remember(self, batches: Iterable[Any]) -> None:
        """Measure which parameters matter, on unlabelled, source-like batches."""
        squares, count = [torch.zeros_like(p) for p in self.trained], 0
        for inputs in batches:
            logits = self.answer(inputs).logits
            self.gradients(F.cross_entropy(logits, logits.detach().argmax(dim=1)))
            for square, parameter in zip(squares, self.trained, strict=True):
                if parameter.grad is not None:
                    square += parameter.grad.square()
            count += 1
        for place, square in enumerate(squares):
            self.anchor.get_buffer(str(place)).copy_(square / max(count, 1))
        self.optimizer.zero_grad()

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Lower the weighted entropy of the counted predictions among logits (B, C)."""
        uncertainty, limit = entropy(logits), self.margin * math.log(logits.shape[1])
        counts = self._counts(logits.detach().softmax(dim=1), uncertainty.detach() < limit)
        if bool(counts.any()):
            weights = torch.exp(limit - uncertainty.detach())
            self.step((weights * uncertainty)[counts].mean() + self._penalty())

    def _counts(self, probabilities: Tensor, certain: Tensor) -> Tensor:
        """Return (B,) which predictions count, and update the running mean with them."""
        mean = self.mean.get_buffer("probabilities")
        if len(mean):
            limit = redundancy_by_classes(probabilities.shape[1]) if self.redundancy is None else self.redundancy
            certain = certain & (F.cosine_similarity(mean[None], probabilities, dim=1).abs() < limit)
        if bool(certain.any()):
            fresh = probabilities[certain].mean(dim=0)
            self.mean.probabilities = 0.9 * mean + 0.1 * fresh if len(mean) else fresh
        return certain

    def _penalty(self) -> Tensor:
        total = self.trained[0].new_zeros(())
        for place, parameter in enumerate(self.trained):
            moved = parameter - self.anchor.get_buffer(f"start{place}")
            total = total + (self.anchor.get_buffer(str(place)) * moved.square()).sum()
        return self.anchoring * total

    def reset(self) -> None:
        """Return to the source model; keep what :meth:`remember` measured."""
        super().reset()
        self.mean.probabilities = self.mean.get_buffer("probabilities").new_zeros(0)


def redundancy_by_classes(num_classes: int) -> float:
    """Return EATA's bound on the cosine between a prediction and the running mean for a number of classes.

    These are the published values for 10, 100 and 1,000 classes, interpolated and extrapolated by powers of the number.
    No single value suits all: the cosine between a certain prediction and a uniform mean over C classes is C^-1/2.

    >>> [round(redundancy_by_classes(c), 2) for c in (5, 10, 100, 1000)]
    [0.61, 0.4, 0.1, 0.05]
    """
    if num_classes < 100:
        return min(0.4 * math.pow(10 / num_classes, math.log10(4)), 1.0)
    return 0.1 * math.pow(100 / num_classes, math.log10(2))
