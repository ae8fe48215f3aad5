"""SAR: sharpness-aware entropy minimization on certain predictions, with a reset on collapse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_at_least, check_positive, check_shares
from tlzoo.methods.test_time import Online
from tlzoo.nn.sharpness import uphill
from tlzoo.paper import Paper
from tlzoo.types import Prediction

__all__ = ["SAR"]


class SAR(Online):
    """Sharpness-aware and reliable entropy minimization (Niu et al., ICLR 2023), https://arxiv.org/abs/2302.12400.

    As TENT, on answers with entropy below ``margin`` * ln C; the gradient is taken where parameters were moved by
    ``radius`` uphill, of those answers that are still certain there. Where the running mean of that loss falls below
    ``floor``, the model is set back to the source model.

    Differs from the paper: the scales and shifts of all normalization layers are trained, the last ones too. Differs
    from the authors' code: the running mean is reset with the model, where theirs keeps the value that made it start
    again.

    Args:
        model: the source model; copied.
        lr: learning rate of SGD.
        momentum: momentum of SGD.
        margin: m, share of the largest entropy.
        radius: rho, length of the step uphill.
        floor: smallest running mean of the loss before a reset.
        coasts: where no answer is certain, take a step with gradient 0, which is the momentum's, as in the authors'
            code; else take none.
    """

    paper = Paper(
        title="Towards Stable Test-Time Adaptation in Dynamic Wild World",
        authors=("Niu", "Wu", "Zhang", "Wen", "Chen", "Zhao", "Tan"),
        venue="ICLR",
        year=2023,
        arxiv="2302.12400",
    )
    revision = 3
    variants = ({}, {"margin": 1.0, "floor": 0.0}, {"coasts": False})
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
        coasts: bool = True,
    ) -> None:
        check_positive(lr=lr, margin=margin, radius=radius)
        check_shares(below_one=True, momentum=momentum)
        check_at_least(0, floor=floor)
        self.lr, self.momentum = lr, momentum
        super().__init__(model)
        self.margin, self.radius, self.floor, self.coasts = margin, radius, floor, coasts
        self.register_buffer("running", torch.tensor(-1.0))  # below 0: none yet

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return SGD with momentum."""
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Lower the entropy of the certain predictions among logits (B, C), with the gradient from uphill."""
        limit = self.margin * math.log(logits.shape[1])
        uncertainty = entropy(logits)
        certain = uncertainty.detach() < limit
        if bool(certain.any()):
            uncertainty = self._uphill(inputs, uncertainty[certain].mean())
            certain = certain & (uncertainty.detach() < limit)
        if bool(certain.any()):
            loss = uncertainty[certain].mean()
            self.step(loss)
            self._watch(loss.detach())
        elif self.coasts:
            self.step(uncertainty[certain].sum())  # of none: its gradient is 0

    def _uphill(self, inputs: Any, loss: Tensor) -> Tensor:
        """Return the entropies (B,) that the model has ``radius`` up the gradient of a loss.

        They are functions of the parameters as they are, by the gradient there.
        """
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        moved = uphill(loss, {names[id(parameter)]: parameter for parameter in self.trained}, self.radius)
        prediction: Prediction = torch.func.functional_call(self.model, moved, (inputs,))
        return entropy(prediction.logits)

    def _watch(self, loss: Tensor) -> None:
        """Update the running mean of the loss; reset the model if it collapses."""
        self.running.copy_(loss if self.running < 0 else 0.9 * self.running + 0.1 * loss)
        if self.running < self.floor:
            self.reset()

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.running.fill_(-1.0)
