"""SymNets: two symmetric classifiers that are also the domain discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import reversal_coefficient
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.methods.checks import required
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["SymNets"]


class SymNets(WeightedAlignment):
    r"""Domain-symmetric networks (Zhang et al., CVPR 2019), https://arxiv.org/abs/1904.04663.

    A source and a target classifier have C classes each; their 2C joint probabilities say domain and class. On detached
    features, the classifiers learn the source classes and the domains (probability mass on the source half or the
    target half). With the classifiers held constant, the features make the label equally likely in both halves on the
    source. On the target, they make both halves equally likely and lower the entropy over classes. The target terms
    have the weight :math:`\lambda(p) = 2 / (1 + e^{-10 p}) - 1`.

    Differs from the paper: both sides of the game share one step. The supervised loss of the target classifier, which
    makes the predictions, also trains the features.

    Args:
        num_features: D.
        num_classes: C.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Domain-Symmetric Networks for Adversarial Domain Adaptation",
        authors=("Zhang", "Tang", "Jia", "Tan"),
        venue="CVPR",
        year=2019,
        arxiv="1904.04663",
    )

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        self.source_classifier = nn.Linear(num_features, num_classes)
        self.target_classifier = nn.Linear(num_features, num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted game on source (N, D) with labels (N,) and target (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        labels = required(self, source.labels, "source.labels")
        n = len(source)
        features = torch.cat([source.features, target.features])
        constants = [(classifier.weight.detach(), classifier.bias.detach()) for classifier in self._classifiers]
        learned = torch.cat([classifier(features.detach()) for classifier in self._classifiers], dim=1)
        told = self._told_apart(learned.log_softmax(dim=1), n)
        supervised = F.cross_entropy(learned[:n, : self.num_classes], labels)
        confused = torch.cat([F.linear(features, *constant) for constant in constants], dim=1).log_softmax(dim=1)
        at_source, at_target = self._confusion(confused, labels, n)
        loss = supervised + told + at_source + reversal_coefficient(context.progress) * at_target
        return {"loss": self.weight * loss, "domain": told.detach(), "confusion": at_source.detach()}

    def make_head(self) -> nn.Module:
        """Return the target classifier, which is also part of the method."""
        return self.target_classifier

    @property
    def _classifiers(self) -> tuple[nn.Linear, nn.Linear]:
        return self.source_classifier, self.target_classifier

    def _told_apart(self, joint: Tensor, n: int) -> Tensor:
        """Return the domain loss of joint log-probabilities (N + M, 2C)."""
        ours, theirs = joint[:n, : self.num_classes], joint[n:, self.num_classes :]
        return -ours.logsumexp(dim=1).mean() - theirs.logsumexp(dim=1).mean()

    def _confusion(self, joint: Tensor, labels: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Return the category confusion of the source, and domain confusion plus entropy of the target."""
        halves = torch.stack([joint[:, : self.num_classes], joint[:, self.num_classes :]], dim=1)  # (N + M, 2, C)
        at_label = halves[:n].gather(2, labels[:, None, None].expand(-1, 2, 1))
        category = -0.5 * at_label.sum(dim=(1, 2)).mean()
        domain = -0.5 * halves[n:].logsumexp(dim=2).sum(dim=1).mean()
        by_class = halves[n:].logsumexp(dim=1)
        uncertainty = -(by_class.exp() * by_class).sum(dim=1).mean()
        return category, domain + uncertainty
