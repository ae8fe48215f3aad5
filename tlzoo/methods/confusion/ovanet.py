"""OVANet: a classifier of each class against all others learns from the source what is unknown."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.methods.checks import required
from tlzoo.nn.open_head import OpenHead
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["OVANet"]


class OVANet(WeightedAlignment):
    r"""One-versus-all network (Saito & Saenko, ICCV 2021), https://arxiv.org/abs/2104.03344.

    The last of the C classes is "unknown" and has no source example. Each other class k has a classifier of its own,
    with the probability p of "is class k". They learn from the source, each item from its class and from the hardest
    other one, and lower their mean entropy on the target:

    .. math:: -\frac{1}{2N} \sum_i \left[\ln p_{i y_i} + \min_{k \ne y_i} \ln(1 - p_{ik})\right]
        + \frac{w}{M K} \sum_{j, k} H(p_{jk})

    An item is unknown where the classifier of its most likely class says that it is another.

    Differs from the paper: the weights of the classifiers are normalized in each pass; the authors' code does so after
    each step.

    Args:
        num_features: D.
        num_classes: C, including "unknown".
        weight: w, of the target's entropy.
    """

    label = "OVANet"
    paper = Paper(
        title="OVANet: One-vs-All Network for Universal Domain Adaptation",
        authors=("Saito", "Saenko"),
        venue="ICCV",
        year=2021,
        arxiv="2104.03344",
    )

    def __init__(self, num_features: int, num_classes: int, *, weight: float = 0.1) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_counts(low=3, num_classes=num_classes)
        self.head = _Head(num_features, num_classes - 1)

    def make_head(self) -> nn.Module:
        """Return the head, which is also part of the method."""
        return self.head

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the loss of features (N, D) with labels, and (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        labels = required(self, source.labels, "source.labels")
        inside, outside = self.head.log_odds(source.features).unbind(dim=2)
        rows = labels < inside.shape[1]
        own = F.one_hot(labels[rows], inside.shape[1]).bool()
        positive, negative = -inside[rows][own], (-outside[rows]).masked_fill(own, 0.0).amax(dim=1)
        learned = (positive.sum() + negative.sum()) / (2 * max(len(positive), 1))
        log_p = self.head.log_odds(target.features)
        entropy = -(log_p.exp() * log_p).sum(dim=2).mean()
        return {"loss": learned + self.weight * entropy, "open": learned.detach(), "entropy": entropy.detach()}


class _Head(OpenHead):
    """A linear classifier of the known classes, and one of each against all others."""

    def __init__(self, num_features: int, known: int) -> None:
        super().__init__()
        self.closed, self.open = nn.Linear(num_features, known), nn.Linear(num_features, 2 * known, bias=False)

    def known(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, K)."""
        logits: Tensor = self.closed(features)
        return logits

    def log_odds(self, features: Tensor) -> Tensor:
        """Map features (B, D) to log-probabilities (B, K, 2) of "is class k" and "is another"."""
        logits = F.linear(features, F.normalize(self.open.weight, dim=1))
        return logits.view(len(logits), -1, 2).log_softmax(dim=2)

    def doubt(self, features: Tensor, known: Tensor) -> Tensor:
        """Return (B,) the log-odds that the most likely class is another."""
        inside, outside = self.log_odds(features).unbind(dim=2)
        place = known.argmax(dim=1, keepdim=True)
        return (outside - inside).gather(1, place)[:, 0]
