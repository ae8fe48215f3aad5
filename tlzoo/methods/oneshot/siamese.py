"""Siamese networks: predict whether two items have the same class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import memberships
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["Siamese"]


class Siamese(EpisodeClassifier):
    r"""Siamese network (Koch et al., ICML Workshop 2015), https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf.

    The probability that two items have the same class is

    .. math:: \mathrm{sigmoid}\left( b + \sum_j a_j |f_j - g_j| \right),

    trained by the binary cross-entropy of pairs. The logit of a class is the mean of the sigmoid's argument over its
    support.

    Args:
        num_features: D.

    Differs from the paper: pairs are those of query and class in episodes, so one in ``way`` has the same class,
    instead of every second. The weights a start at -1 / D, a distance, instead of random values.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[1.0, 0.0]]])
    >>> Siamese(2)(support, labels, query, way=2).tolist()
    [[[0.0, -1.0]]]
    """

    label = "Siamese network"
    paper = Paper(
        title="Siamese Neural Networks for One-shot Image Recognition",
        authors=("Koch", "Zemel", "Salakhutdinov"),
        venue="ICML Deep Learning Workshop",
        year=2015,
        page="https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf",
    )

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.weights = nn.Parameter(torch.full((num_features,), -1.0 / num_features))
        self.offset = nn.Parameter(torch.zeros(()))

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        # one support item at a time: all pairs at once would be E * Q * S * D numbers
        alike = [(query - item.unsqueeze(1)).abs() @ self.weights for item in support.unbind(dim=1)]
        return self.offset + torch.stack(alike, dim=2) @ (members / members.sum(dim=1, keepdim=True))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the binary cross-entropy of pairs of a query and a class."""
        same = (labels.unsqueeze(-1) == torch.arange(logits.shape[-1], device=labels.device)).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, same)
