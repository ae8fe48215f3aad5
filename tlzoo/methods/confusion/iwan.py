"""IWAN: a first discriminator finds the source examples that resemble the target."""

from __future__ import annotations

import torch

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_at_least
from tlzoo.methods.adversary import Adversary
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["IWAN"]


class IWAN(Adversary):
    r"""Importance weighted adversarial nets (Zhang et al., CVPR 2018), https://arxiv.org/abs/1803.09210.

    A first discriminator learns on detached features. Its probability of "target", divided by the mean, weights each
    source example in the loss of a second discriminator behind a gradient reversal:

    .. math:: w_i = \frac{1 - d(f_i)}{\frac{1}{N} \sum_j 1 - d(f_j)}

    In addition, the entropy of the target predictions is minimized.

    Differs from the paper: one feature extractor for both domains instead of a frozen one for the source; the
    discriminators have batch normalization instead of dropout. The authors' code multiplies the gradient of the entropy
    by the reversal's coefficient, too, and its schedule is that of ``gamma=5``.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminators.
        reversal: largest coefficient of the reversal; the paper's and the authors' 0.1.
        gamma: steepness of its schedule.
        entropy_weight: trade-off of the entropy.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Importance Weighted Adversarial Nets for Partial Domain Adaptation",
        authors=("Zhang", "Ding", "Li", "Ogunbona"),
        venue="CVPR",
        year=2018,
        arxiv="1803.09210",
    )
    revision = 2
    space = Space(weight=LogUniform(0.1, 10.0), entropy_weight=LogUniform(0.01, 1.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 1024,
        reversal: float = 0.1,
        gamma: float = 10.0,
        entropy_weight: float = 0.1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, reversal=reversal, gamma=gamma, weight=weight)
        check_at_least(0, entropy_weight=entropy_weight)
        self.entropy_weight = entropy_weight
        self.first_discriminator = DomainDiscriminator(num_features, hidden)
        self.discriminator = DomainDiscriminator(num_features, hidden)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the discriminators' losses on features (N, D), (M, D) and the weighted entropy of the target."""
        n = len(source)
        features = self.reversed_features(source, target, context)
        first = self.first_discriminator(features.detach())
        told_apart, _ = domain_loss(first, n)
        ours = torch.sigmoid(-first.detach()[:n, 0])
        weights = ours / ours.sum(), ours.new_full((len(target),), 1 / len(target))
        loss, accuracy = domain_loss(self.discriminator(features), n, weights)
        uncertainty = entropy(target.logits).mean()
        total = told_apart + self.weight * loss + self.entropy_weight * uncertainty
        return {"loss": total, "domain_accuracy": accuracy, "entropy": uncertainty.detach()}
