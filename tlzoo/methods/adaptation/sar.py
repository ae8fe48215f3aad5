"""SAR: certain answers are followed into flat valleys, and a collapsing model starts again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from tlzoo.functional import entropy
from tlzoo.methods.test_time import Online
from tlzoo.paper import Paper

__all__ = ["SAR"]


class SAR(Online):
    """Sharpness-aware and reliable entropy minimization (Niu et al., ICLR 2023), https://arxiv.org/abs/2302.12400.

    As TENT, on answers with entropy below ``margin`` * ln C; the gradient is taken where parameters were moved by
    ``radius`` uphill, of those answers that are still certain there. Where the running mean of that loss falls below
    ``floor``, the model is set back to the source model.

    Differs from the paper: the scales and shifts of all normalization layers are trained, the last ones too.

    Args:
        model: the source model; copied.
        lr: of SGD with momentum.
        momentum: of SGD.
        margin: share of the largest entropy.
        radius: of the step uphill.
        floor: of the running mean of the loss.
    """

    paper = Paper(
        title="Towards Stable Test-Time Adaptation in Dynamic Wild World",
        authors=("Niu", "Wu", "Zhang", "Wen", "Chen", "Zhao", "Tan"),
        venue="ICLR",
        year=2023,
        arxiv="2302.12400",
    )
    revision = 2
    variants = ({}, {"margin": 1.0, "floor": 0.0})
    running: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        momentum: float = 0.9,
        margin: float = 0.4,
        radius: float = 0.05,
        floor: float = 0.2,
    ) -> None:
        self.lr, self.momentum = lr, momentum
        super().__init__(model)
        self.margin, self.radius, self.floor = margin, radius, floor
        self.register_buffer("running", torch.tensor(-1.0))  # below 0: none yet

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return SGD with momentum."""
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Lower the entropy of the certain ones of logits (B, C), seen from uphill."""
        limit = self.margin * math.log(logits.shape[1])
        uncertainty = entropy(logits)
        certain = uncertainty.detach() < limit
        if bool(certain.any()):
            self._step(inputs, uncertainty, certain, limit)

    def _step(self, inputs: Any, uncertainty: Tensor, certain: Tensor, limit: float) -> None:
        before = [parameter.detach().clone() for parameter in self.trained]
        self.gradients(uncertainty[certain].mean())
        uphill = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.trained]
        length = torch.stack([g.norm() for g in uphill]).norm().clamp_min(1e-12)
        with torch.no_grad():
            for parameter, gradient in zip(self.trained, uphill, strict=True):
                parameter.add_(gradient / length, alpha=self.radius)
        there = entropy(self.answer(inputs).logits)[certain]
        there = there[there.detach() < limit]
        if len(there):
            self.gradients(there.mean())
        with torch.no_grad():
            for parameter, value in zip(self.trained, before, strict=True):
                parameter.copy_(value)
        if len(there):
            self.optimizer.step()
            self._watch(there.detach().mean())
        self.optimizer.zero_grad()

    def _watch(self, loss: Tensor) -> None:
        """Take the loss into the running mean; start again where that collapses."""
        self.running.copy_(loss if self.running < 0 else 0.9 * self.running + 0.1 * loss)
        if self.running < self.floor:
            self.reset()

    def reset(self) -> None:
        """Forget everything but the source model."""
        super().reset()
        self.running.fill_(-1.0)
