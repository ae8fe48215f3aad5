"""SHOT: fit the features of the target to the frozen source classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import information_maximization
from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["SHOT", "cluster_labels"]


class SHOT(SourceFree):
    r"""Source hypothesis transfer (Liang et al., ICML 2020), https://arxiv.org/abs/2002.08546.

    The head is frozen, and the loss combines information maximization with pseudo-labels:

    .. math::

        \frac{1}{M} \sum_j H(p_j) - H\left( \frac{1}{M} \sum_j p_j \right)
        + w \, \frac{1}{M} \sum_j \mathrm{CE}(\text{logits}_j, \hat y_j)

    Each epoch finds pseudo-labels for the whole target by the nearest centroid (cosine). The centroids are weighted by
    the predictions first, and by the labels found in ``rounds`` - 1 further rounds.

    Differs from the paper: how the source model was trained, with or without label smoothing, is up to its user.

    Args:
        num_features: D.
        num_classes: C.
        rounds: number of rounds of clustering.
        weight: trade-off of the pseudo-labels.
    """

    paper = Paper(
        title="Do We Really Need to Access the Source Data? "
        "Source Hypothesis Transfer for Unsupervised Domain Adaptation",
        authors=("Liang", "Hu", "Feng"),
        venue="ICML",
        year=2020,
        arxiv="2002.08546",
    )
    needs = frozenset({Need.INDICES})
    revision = 2
    variants = ({}, {"weight": 0.0})

    def __init__(self, num_features: int, num_classes: int, *, rounds: int = 2, weight: float = 0.3) -> None:
        super().__init__(num_features, num_classes)
        check_counts(rounds=rounds)
        check_at_least(0, weight=weight)
        self.rounds, self.weight = rounds, weight
        self.memory = Memory(labels=torch.zeros(0, dtype=torch.long))

    def prepare(self, network: nn.Module) -> None:
        """Freeze the head of the network.

        Raises:
            TypeError: the network has no head.
        """
        head = getattr(network, "head", None)
        if not isinstance(head, nn.Module):
            raise TypeError(f"{type(network).__name__} has no head; shot needs a tlzoo.nn.network.Network")
        head.requires_grad_(False)

    @torch.no_grad()
    def on_epoch(self, target: Prediction) -> None:
        """Find pseudo-labels of the whole target, features (N, D), logits (N, C), in the order of its indices."""
        probabilities = at_least_float32(target.logits).softmax(dim=1)
        labels = cluster_labels(target.features, probabilities, rounds=self.rounds)
        self.memory.labels = labels if target.indices is None else labels[target.indices.argsort()]

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of ``target.logits`` (M, C) given pseudo-labels by ``target.indices`` (M,).

        Raises:
            ValueError: the target has no indices, or there are no pseudo-labels yet.
        """
        information = information_maximization(target.logits)
        if not self.weight:
            return {"loss": information}
        labels: Tensor = self.memory.get_buffer("labels")
        if target.indices is None or int(target.indices.max()) >= len(labels):
            raise ValueError(
                f"shot has pseudo-labels of {len(labels)} examples and got indices {target.indices}; call on_epoch "
                "with the whole target first, and index the examples by their position in it"
            )
        supervised = F.cross_entropy(target.logits, labels[target.indices])
        return {"loss": information + self.weight * supervised, "information": -information.detach()}


def cluster_labels(features: Tensor, probabilities: Tensor, *, rounds: int = 2) -> Tensor:
    """Return (N,) pseudo-labels: nearest centroid by cosine of features (N, D) with an appended 1.

    Centroids are means weighted by probabilities (N, C), then by the labels found. A class without a member (by the
    largest probability first, then by the labels found) is out of the race, as in the authors' code.
    """
    features, weights = at_least_float32(features), at_least_float32(probabilities)
    points = F.normalize(torch.cat([features, features.new_ones(len(features), 1)], dim=1), dim=1)
    labels = probabilities.argmax(dim=1)
    for _ in range(rounds):
        members = F.one_hot(labels, probabilities.shape[1]).sum(dim=0)
        similarity = matmul(points, F.normalize(matmul(weights.T, points), dim=1).T)
        labels = similarity.masked_fill(members == 0, -torch.inf).argmax(dim=1)
        weights = F.one_hot(labels, probabilities.shape[1]).to(points)
    return labels
