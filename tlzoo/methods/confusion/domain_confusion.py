"""Domain confusion: features on which a domain classifier can only guess."""

from __future__ import annotations

import torch

from tlzoo.functional import uniform_confusion
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["DomainConfusionLoss"]


class DomainConfusionLoss(WeightedAlignment):
    r"""Domain confusion (Tzeng et al., ICCV 2015), https://arxiv.org/abs/1510.02192.

    The loss is the BCE of the discriminator on detached features, plus the cross-entropy of its predictions with one
    half, its parameters held constant:

    .. math:: -\frac{w}{2} \mathbb{E} \left[ \log d(f) + \log(1 - d(f)) \right]

    At its optimum the second term is log 2.

    Differs from the paper: both terms share one step instead of alternating. Soft labels, which need labelled target
    examples, are left out.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        weight: w, trade-off of the confusion (lambda in the paper).
    """

    label = "domain confusion loss"
    for_regression = True
    paper = Paper(
        title="Simultaneous Deep Transfer Across Domains and Tasks",
        authors=("Tzeng", "Hoffman", "Darrell", "Saenko"),
        venue="ICCV",
        year=2015,
        arxiv="1510.02192",
    )
    space = Space(weight=LogUniform(0.001, 0.1))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 1024,
        weight: float = 0.01,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        self.discriminator = DomainDiscriminator(num_features, hidden)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the discriminator's loss plus the weighted confusion of features (N, D) and (M, D)."""
        features = torch.cat([source.features, target.features])
        told_apart, accuracy = domain_loss(self.discriminator(features.detach()), len(source))
        constants = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        logits = torch.func.functional_call(self.discriminator, constants, features).squeeze(1)
        sides = logits[: len(source)], logits[len(source) :]
        confusion = 0.5 * (uniform_confusion(sides[0]) + uniform_confusion(sides[1]))
        return {
            "loss": told_apart + self.weight * confusion,
            "confusion": confusion.detach(),
            "domain_accuracy": accuracy,
        }
