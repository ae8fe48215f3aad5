"""PADA: source classes that the target lacks count less."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import gradient_reversal, reversal_coefficient
from tlzoo.functional.checks import check_at_least
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.checks import required
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["PADA"]


class PADA(Alignment):
    """Partial adversarial domain adaptation (Cao et al., ECCV 2018), https://arxiv.org/abs/1808.04205.

    A class weighs its mean probability over the whole unlabelled target, divided by the largest; the supervised loss
    and the discriminator's loss of a source example weigh as much as its class. Otherwise DANN.

    Differs from the paper: weights are made anew at each epoch of the trainer instead of every 500 steps.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
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
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 1024,
        gamma: float = 10.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, gamma=gamma, weight=weight)
        self.gamma, self.weight = gamma, weight
        self.discriminator = DomainDiscriminator(num_features, hidden)
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(num_classes))

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted discriminator loss on source (N, D) with labels (N,) and target (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        features = torch.cat([source.features, target.features])
        reversed_features = gradient_reversal(features, reversal_coefficient(context.progress, gamma=self.gamma))
        ours = self.source_weights(source)
        weights = ours / ours.sum(), ours.new_full((len(target),), 1 / len(target))
        loss, accuracy = domain_loss(self.discriminator(reversed_features), len(source), weights)
        return {"loss": self.weight * loss, "domain_accuracy": accuracy}

    def source_weights(self, source: Prediction) -> Tensor:
        """Return (N,) class weights of the source examples.

        Raises:
            ValueError: the source has no labels.
        """
        labels = required(self, source.labels, "source.labels")
        return self.class_weights[labels]

    def on_epoch(self, target: Prediction) -> None:
        """Weigh classes by the mean prediction of the target, logits (M, C)."""
        mean = target.logits.detach().softmax(dim=1).mean(dim=0)
        self.class_weights.copy_(mean / mean.max())
