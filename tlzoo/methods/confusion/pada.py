"""PADA: give less weight to source classes that the target lacks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.adversary import Adversary
from tlzoo.methods.checks import required
from tlzoo.nn.discriminator import DomainDiscriminator, domain_losses
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["PADA"]


class PADA(Adversary):
    """Partial adversarial domain adaptation (Cao et al., ECCV 2018), https://arxiv.org/abs/1808.04205.

    A class weighs its mean probability over the whole unlabelled target, divided by the largest, g. The supervised loss
    is mean g(y_i) CE_i; loss = weight * (mean g(y_i) BCE(d(f_s_i), 1) + mean BCE(d(f_t), 0)) / 2. Otherwise DANN.

    Differs from the paper: weights are recomputed at each epoch of the trainer instead of every 500 steps; the
    discriminator has batch normalization instead of dropout.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        weighting: ``"paper"``, or ``"code"``: in the authors' code the supervised loss is divided by the batch's mean
            weight, and weights in the discriminator's loss by the batch's largest.
        gamma: steepness of the schedule of the reversal.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Partial Adversarial Domain Adaptation",
        authors=("Cao", "Ma", "Long", "Wang"),
        venue="ECCV",
        year=2018,
        arxiv="1808.04205",
    )
    revision = 2
    variants = ({}, {"weighting": "code"})
    space = Space(weight=LogUniform(0.1, 10.0))

    class_weights: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 1024,
        weighting: Literal["paper", "code"] = "paper",
        gamma: float = 10.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        check_choice(weighting, ("paper", "code"), what="weighting")
        self.weighting = weighting
        self.discriminator = DomainDiscriminator(num_features, hidden)
        self.register_buffer("class_weights", torch.ones(num_classes))

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted discriminator loss on source (N, D) with labels (N,) and target (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        weights = self._of_classes(source)
        if self.weighting == "code":
            weights = weights / weights.max()
        features = self.reversed_features(source, target, context)
        ours, theirs, accuracy = domain_losses(self.discriminator(features), len(source))
        loss = 0.5 * ((weights * ours).mean() + theirs.mean())
        return {"loss": self.weight * loss, "domain_accuracy": accuracy}

    def source_weights(self, source: Prediction) -> Tensor:
        """Return (N,) weights of the source examples in the supervised loss.

        Raises:
            ValueError: the source has no labels.
        """
        weights = self._of_classes(source)
        return weights / weights.mean() if self.weighting == "code" else weights

    def _of_classes(self, source: Prediction) -> Tensor:
        return self.class_weights[required(self, source.labels, "source.labels")]

    def on_epoch(self, target: Prediction) -> None:
        """Update the class weights from the mean prediction on the target, logits (M, C)."""
        mean = at_least_float32(target.logits.detach()).softmax(dim=1).mean(dim=0)
        self.class_weights.copy_(mean / mean.max())
