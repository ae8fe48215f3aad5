"""VADA: domains are confused, and no decision boundary may pass near an example."""

from __future__ import annotations

import torch

from tlzoo.functional import entropy, gradient_reversal
from tlzoo.functional.checks import check_at_least
from tlzoo.methods.alignment import Alignment
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.nn.virtual_adversary import VirtualAdversary
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["VADA"]


class VADA(Alignment):
    """Virtual adversarial domain adaptation (Shu et al., ICLR 2018), https://arxiv.org/abs/1802.08735.

    loss = BCE of a discriminator whose gradient reaches features times -``domain_weight``, plus ``source_weight`` *
    KL(p(x) || p(x + r)) on the source, plus ``target_weight`` * (entropy + that KL) on the target, r being the virtual
    adversarial perturbation of length ``radius``, see :class:`~tlzoo.nn.virtual_adversary.VirtualAdversary`.

    Differs from the paper: gradient reversal in place of alternating steps of the discriminator and an average of the
    weights over time, so that there is one loss; inputs are not instance-normalized.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        radius: of perturbations, in units of the network's inputs after preprocessing.
        domain_weight: lambda_d.
        source_weight: lambda_s; 0 does without the perturbed source.
        target_weight: lambda_t.

    >>> vada = VADA(num_features=2, num_classes=2, hidden=4)
    >>> class Model(nn.Module):
    ...     def forward(self, inputs):
    ...         return Prediction(features=inputs, logits=inputs, inputs=inputs)
    >>> side = Model()(torch.randn(3, 2))
    >>> sorted(vada(side, side, model=Model()))
    ['domain_accuracy', 'entropy', 'loss', 'source_change', 'target_change']
    """

    paper = Paper(
        title="A DIRT-T Approach to Unsupervised Domain Adaptation",
        authors=("Shu", "Bui", "Narui", "Ermon"),
        venue="ICLR",
        year=2018,
        arxiv="1802.08735",
    )
    revision = 2
    needs = frozenset({Need.MODEL})
    space = Space(radius=LogUniform(0.5, 8.0), target_weight=LogUniform(0.01, 0.1))
    variants = ({"hidden": 64, "radius": 0.5}, {"hidden": 64, "radius": 0.5, "source_weight": 0.0})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 1024,
        radius: float = 3.5,
        domain_weight: float = 0.01,
        source_weight: float = 1.0,
        target_weight: float = 0.01,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, domain_weight=domain_weight, source_weight=source_weight, target_weight=target_weight)
        self.domain_weight, self.source_weight, self.target_weight = domain_weight, source_weight, target_weight
        self.discriminator = DomainDiscriminator(num_features, hidden)
        self.adversary = VirtualAdversary(radius)

    @property
    def transformable(self) -> bool:
        """It draws random numbers."""
        return False

    @property
    def order_matters(self) -> bool:
        """The search for a perturbation begins with a random number for each place of the batch."""
        return True

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the loss on source and target features (N, D), (M, D), logits (M, C), and inputs, by the model.

        Raises:
            ValueError: no model, or sides without inputs.
        """
        features = torch.cat([source.features, target.features])
        domains, accuracy = domain_loss(
            self.discriminator(gradient_reversal(features, self.domain_weight)), len(source)
        )
        if self.source_weight:
            ours, theirs = (change.mean() for change in self.adversary(context.model, source, target))
        else:
            ours, theirs = features.new_zeros(()), self.adversary(context.model, target)[0].mean()
        uncertainty = entropy(target.logits).mean()
        return {
            "loss": domains + self.source_weight * ours + self.target_weight * (uncertainty + theirs),
            "domain_accuracy": accuracy,
            "source_change": ours.detach(),
            "target_change": theirs.detach(),
            "entropy": uncertainty.detach(),
        }
