"""VADA: confuse the domains, and keep the decision boundary away from examples."""

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
    r"""Virtual adversarial domain adaptation (Shu et al., ICLR 2018), https://arxiv.org/abs/1802.08735.

    .. math::

        \mathrm{BCE}(d) + \lambda_s \, \mathbb{E}_s \mathrm{KL}\left(p(x) \parallel p(x + r)\right)
        + \lambda_t \, \mathbb{E}_t \left[ H(p(x)) + \mathrm{KL}\left(p(x) \parallel p(x + r)\right) \right]

    The features get the discriminator's gradient multiplied by :math:`-\lambda_d`. r is the virtual adversarial
    perturbation of length ``radius``, see :class:`~tlzoo.nn.virtual_adversary.VirtualAdversary`.

    Differs from the paper: there is one loss, with gradient reversal instead of alternating steps of the discriminator
    and without averaging weights over time. Inputs are not instance-normalized.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        radius: length of perturbations, in units of the preprocessed inputs.
        domain_weight: lambda_d.
        source_weight: lambda_s; 0 skips the perturbed source.
        target_weight: lambda_t.

    >>> from torch import nn
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
        """Whether order matters: the search for a perturbation starts from one random number per position."""
        return True

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the loss on source and target features (N, D), (M, D), logits (M, C), and inputs, by the model.

        Raises:
            ValueError: the model or the inputs of a side are missing.
        """
        features = torch.cat([source.features, target.features])
        domains, accuracy = domain_loss(
            self.discriminator(gradient_reversal(features, self.domain_weight)), len(source)
        )
        if self.source_weight:
            changes = self.adversary(context.model, source=source, target=target)
            ours, theirs = changes["source"].mean(), changes["target"].mean()
        else:
            ours, theirs = features.new_zeros(()), self.adversary(context.model, target=target)["target"].mean()
        uncertainty = entropy(target.logits).mean()
        return {
            "loss": domains + self.source_weight * ours + self.target_weight * (uncertainty + theirs),
            "domain_accuracy": accuracy,
            "source_change": ours.detach(),
            "target_change": theirs.detach(),
            "entropy": uncertainty.detach(),
        }
