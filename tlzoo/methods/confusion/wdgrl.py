"""WDGRL: a critic estimates the Wasserstein distance between the domains, and the features minimize it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.alternating import Alternating, Phase
from tlzoo.methods.checks import required
from tlzoo.paper import Paper
from tlzoo.types import Losses, Prediction

__all__ = ["WDGRL"]


class WDGRL(Alternating):
    r"""Wasserstein distance guided representation learning (Shen et al., AAAI 2018), https://arxiv.org/abs/1707.01217.

    Two phases alternate. For ``repeats`` steps, the critic c maximizes

    .. math::

        \mathbb{E}_s c(f_s) - \mathbb{E}_t c(f_t) - \gamma \, \mathbb{E} \left( \lVert \nabla c \rVert - 1 \right)^2

    with the gradient at the features and between pairs of them. Then features and head learn the source and minimize
    ``weight`` times the difference of the first two terms.

    Differs from the paper: the points between pairs lie at fixed, evenly spaced positions instead of random ones,
    because batches are shuffled anyway. No random numbers are drawn. One optimizer trains all parts.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the critic.
        repeats: steps of the critic per batch.
        penalty: gamma, weight of the gradient penalty.
        rate: factor of the critic's loss; under SGD it scales the learning rate, which keeps the penalty stable.
        weight: trade-off of the distance.
    """

    paper = Paper(
        title="Wasserstein Distance Guided Representation Learning for Domain Adaptation",
        authors=("Shen", "Qu", "Zhang", "Yu"),
        venue="AAAI",
        year=2018,
        arxiv="1707.01217",
    )

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 100,
        repeats: int = 5,
        penalty: float = 10.0,
        rate: float = 0.02,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(hidden=hidden, repeats=repeats)
        check_at_least(0, penalty=penalty, rate=rate, weight=weight)
        self.repeats, self.penalty, self.rate, self.weight = repeats, penalty, rate, weight
        self.critic = nn.Sequential(nn.Linear(num_features, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    @property
    def transformable(self) -> bool:
        """The critic's gradient is part of the loss."""
        return False

    @property
    def order_matters(self) -> bool:
        """Whether order matters: points between source and target are taken pair by pair."""
        return True

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """Return the phases criticize and learn."""
        return (
            Phase(name="criticize", trains=("method",), repeats=self.repeats),
            Phase(name="learn", trains=("features", "head")),
        )

    def term(self, phase: str, source: Prediction, target: Prediction) -> Losses:
        """Return the loss of a phase on source (N, D), (N, C), labels (N,) and target (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        if phase == "criticize":
            ours, theirs = source.features.detach(), target.features.detach()
            distance = self._distance(ours, theirs)
            loss = self.rate * (self.penalty * self._roughness(ours, theirs) - distance)
            return {"loss": loss, "distance": distance.detach()}
        labels = required(self, source.labels, "source.labels")
        distance = self._distance(source.features, target.features)
        supervised = F.cross_entropy(source.logits, labels)
        return {"loss": supervised + self.weight * distance, "source": supervised.detach()}

    def _distance(self, source: Tensor, target: Tensor) -> Tensor:
        difference: Tensor = self.critic(source).mean() - self.critic(target).mean()
        return difference

    def _roughness(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the gradient penalty at source, target and points between pairs."""
        count = min(len(source), len(target))
        share = ((torch.arange(count, device=source.device) + 0.5) / count).to(source)[:, None]
        between = source[:count] + share * (target[:count] - source[:count])
        points = torch.cat([source, target, between]).requires_grad_()
        (gradients,) = torch.autograd.grad(self.critic(points).sum(), points, create_graph=True)
        roughness: Tensor = (torch.linalg.vector_norm(gradients, dim=1) - 1).square().mean()
        return roughness
