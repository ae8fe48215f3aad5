"""DANN: a domain discriminator behind a gradient reversal."""

from __future__ import annotations

from tlzoo.methods.adversary import Adversary
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["DANN"]


class DANN(Adversary):
    r"""Domain-adversarial training (Ganin & Lempitsky, ICML 2015; Ganin et al., JMLR 2016), https://arxiv.org/abs/1505.07818.

    .. math::

        \frac{w}{2} \left[ \mathrm{BCE}(d(f_s), 1) + \mathrm{BCE}(d(f_t), 0) \right], \qquad
        \lambda(p) = \frac{2}{1 + e^{-\gamma p}} - 1

    The features get the gradient of this loss multiplied by -lambda, which grows with training progress p.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        gamma: steepness of the schedule of lambda.
        weight: trade-off of the term.

    >>> import torch
    >>> dann = DANN(num_features=8, num_classes=3)
    >>> source = Prediction(features=torch.randn(4, 8), logits=torch.randn(4, 3))
    >>> sorted(dann(source, source, progress=0.5))
    ['domain_accuracy', 'loss']
    """

    for_regression = True
    paper = Paper(
        title="Domain-Adversarial Training of Neural Networks",
        authors=("Ganin", "Ustinova", "Ajakan", "Germain", "Larochelle", "Laviolette", "Marchand", "Lempitsky"),
        venue="JMLR",
        year=2016,
        arxiv="1505.07818",
    )
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 1024, gamma: float = 10.0, weight: float = 1.0
    ) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        self.discriminator = DomainDiscriminator(num_features, hidden)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted discriminator loss on source (N, D) and target (M, D) features."""
        features = self.reversed_features(source, target, context)
        loss, accuracy = domain_loss(self.discriminator(features), len(source))
        return {"loss": self.weight * loss, "domain_accuracy": accuracy}
