"""CDAN: a domain discriminator that sees features jointly with class predictions."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from tlzoo.functional import entropy, entropy_weights, gradient_reversal, multilinear_map
from tlzoo.functional.checks import check_choice, check_counts
from tlzoo.methods.adversary import Adversary
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["CDAN"]


class RandomMultilinear(nn.Module):
    r"""The product of random projections of features and predictions.

    .. math:: \frac{1}{\sqrt{d}} (R_f f) \odot (R_g g)

    with the output width d. The matrices are buffers, so that a checkpoint holds them.
    """

    features: Tensor
    predictions: Tensor

    def __init__(self, num_features: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.randn(num_features, width))
        self.register_buffer("predictions", torch.randn(num_classes, width))

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Map features (B, D) and probabilities (B, C) to (B, width)."""
        return (features @ self.features) * (probabilities @ self.predictions) / math.sqrt(self.features.shape[1])


class CDAN(Adversary):
    """Conditional adversarial domain adaptation (Long et al., NeurIPS 2018), https://arxiv.org/abs/1705.10667.

    The discriminator of DANN on the outer product of softmax(logits), detached, and features; with ``entropy=True``
    (CDAN+E) each example weighs 1 + exp(-H), through which the game goes on: its gradient is reversed, too.

    Differs from the paper: the discriminator has batch normalization instead of dropout.

    Args:
        num_features: D.
        num_classes: C.
        entropy: weight examples by their certainty (CDAN+E).
        normalization: normalization of those weights: ``"per_domain"`` (the authors' code) or ``"joint"``, see
            :func:`tlzoo.functional.entropy_weights`.
        weight_gradient: ``"reversed"``, as in the paper's minimax and the authors' code, or ``"none"``: weights are
            constants.
        random_width: None for the full outer product; a width for the randomized one, which the paper uses if D * C
            exceeds 4,096.
        hidden: width of the discriminator.
        gamma: steepness of the schedule of the reversal.
        weight: trade-off of the term.

    >>> cdan = CDAN(num_features=8, num_classes=3, entropy=True, random_width=16)
    >>> source = Prediction(features=torch.randn(4, 8), logits=torch.randn(4, 3))
    >>> sorted(cdan(source, source, progress=0.5))
    ['domain_accuracy', 'loss']
    """

    paper = Paper(
        title="Conditional Adversarial Domain Adaptation",
        authors=("Long", "Cao", "Wang", "Jordan"),
        venue="NeurIPS",
        year=2018,
        arxiv="1705.10667",
    )
    revision = 2
    space = Space(weight=LogUniform(0.1, 10.0))
    variants = (
        {},
        {"entropy": True},
        {"entropy": True, "normalization": "joint"},
        {"entropy": True, "weight_gradient": "none"},
        {"random_width": 7},
    )

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        entropy: bool = False,
        normalization: Literal["per_domain", "joint"] = "per_domain",
        weight_gradient: Literal["reversed", "none"] = "reversed",
        random_width: int | None = None,
        hidden: int = 1024,
        gamma: float = 10.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        check_choice(normalization, ("per_domain", "joint"), what="normalization")
        check_choice(weight_gradient, ("reversed", "none"), what="gradient of weights")
        check_counts(random_width=1 if random_width is None else random_width)
        self.entropy, self.normalization, self.weight_gradient = entropy, normalization, weight_gradient
        self.random = None if random_width is None else RandomMultilinear(num_features, num_classes, random_width)
        self.discriminator = DomainDiscriminator(random_width or num_features * num_classes, hidden)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted discriminator loss on source (N, D), (N, C) and target (M, D), (M, C)."""
        n, logits = len(source), torch.cat([source.logits, target.logits])
        features = self.reversed_features(source, target, context)
        joint = (self.random or multilinear_map)(features, logits.detach().softmax(dim=1))
        weights = None
        if self.entropy:
            coefficient = self.coefficient(context) if self.weight_gradient == "reversed" else 0.0
            uncertainty = gradient_reversal(entropy(logits), coefficient)
            weights = entropy_weights(uncertainty[:n], uncertainty[n:], normalization=self.normalization)
        loss, accuracy = domain_loss(self.discriminator(joint), n, weights)
        return {"loss": self.weight * loss, "domain_accuracy": accuracy}
