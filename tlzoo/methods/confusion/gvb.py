"""GVB: two vanishing bridges take over what is specific to a domain."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tlzoo.functional import entropy, gradient_reversal
from tlzoo.functional.checks import check_at_least, check_choice
from tlzoo.methods.adversary import Adversary
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["GVB"]


class BridgedHead(nn.Module):
    """A linear classifier minus a linear bridge."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(num_features, num_classes)
        self.bridge = nn.Linear(num_features, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, C)."""
        logits: Tensor = self.classifier(features) - self.bridge(features)
        return logits


class GVB(Adversary):
    """Gradually vanishing bridge (Cui et al., CVPR 2020), https://arxiv.org/abs/2003.13183.

    The head answers with W f - bridge(f); a discriminator of softmax(logits), behind a gradient reversal, answers with
    a difference, too. loss = weight * weighted BCE + head_bridge * mean |bridge(f)| + discriminator_bridge * mean
    |bridge(d)|, examples weighing exp(-H) in the BCE, each domain one half; the gradient of weights is reversed, too.

    Differs from the paper: the discriminator has batch normalization instead of dropout.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        head_bridge: g, weight of the head's bridge (GVB-G).
        discriminator_bridge: d, weight of the discriminator's bridge (GVB-D).
        weight_gradient: ``"reversed"``, as in the authors' code, or ``"none"``: weights are constants.
        gamma: steepness of the schedule of the reversal.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Gradually Vanishing Bridge for Adversarial Domain Adaptation",
        authors=("Cui", "Wang", "Zhuo", "Su", "Huang", "Tian"),
        venue="CVPR",
        year=2020,
        arxiv="2003.13183",
    )
    revision = 2
    variants = ({}, {"weight_gradient": "none"})
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 1024,
        head_bridge: float = 1.0,
        discriminator_bridge: float = 1.0,
        weight_gradient: Literal["reversed", "none"] = "reversed",
        gamma: float = 10.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        check_at_least(0, head_bridge=head_bridge, discriminator_bridge=discriminator_bridge)
        check_choice(weight_gradient, ("reversed", "none"), what="gradient of weights")
        self.head_bridge, self.discriminator_bridge = head_bridge, discriminator_bridge
        self.weight_gradient = weight_gradient
        self.head = BridgedHead(num_features, num_classes)
        self.trunk = nn.Sequential(*list(DomainDiscriminator(num_classes, hidden))[:-1])
        self.judge, self.bridge = nn.Linear(hidden, 1), nn.Linear(hidden, 1)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted terms on source (N, D), (N, C) and target (M, D), (M, C)."""
        features = torch.cat([source.features, target.features])
        logits = torch.cat([source.logits, target.logits])
        coefficient = self.coefficient(context)
        hidden = self.trunk(gradient_reversal(logits.softmax(dim=1), coefficient))
        bridge = self.bridge(hidden)
        uncertainty = gradient_reversal(entropy(logits), coefficient if self.weight_gradient == "reversed" else 0.0)
        sides = torch.split(torch.exp(-uncertainty), [len(source), len(target)])
        weights = sides[0] / sides[0].sum().detach(), sides[1] / sides[1].sum().detach()
        told_apart, accuracy = domain_loss(self.judge(hidden) - bridge, len(source), weights)
        vanishing = self.head.bridge(features).abs().mean(), bridge.abs().mean()
        loss = self.weight * told_apart + self.head_bridge * vanishing[0] + self.discriminator_bridge * vanishing[1]
        return {"loss": loss, "domain_accuracy": accuracy, "head_bridge": vanishing[0].detach()}

    def make_head(self) -> nn.Module:
        """Return the head with its bridge, which is also part of the method."""
        return self.head
