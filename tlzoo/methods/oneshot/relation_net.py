"""Relation network: a learned comparison with the class mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import prototypes
from tlzoo.functional.checks import check_counts
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["RelationNet"]


class RelationNet(EpisodeClassifier):
    r"""Relation network (Sung, Yang, Zhang, Xiang, Torr & Hospedales, CVPR 2018), https://arxiv.org/abs/1711.06025.

    .. math:: r_c = \mathrm{sigmoid}\left( g([m_c, f]) \right)

    with the mean m of a class's support features and a network g, trained over episodes by the mean squared error to
    the one-hot labels. The logits are the outputs of g.

    Args:
        num_features: D.
        hidden: width of the hidden layer of g; 8 in the paper, for small features.

    Differs from the paper: g compares feature vectors with two linear layers, instead of maps with convolutions; a
    class is the mean of its support instead of the sum.

    >>> relation = RelationNet(4)
    >>> episodes = torch.ones(1, 2, 4), torch.tensor([[0, 1]]), torch.ones(1, 3, 4)
    >>> relation(*episodes, way=2).shape
    torch.Size([1, 3, 2])
    """

    label = "relation network"
    paper = Paper(
        title="Learning to Compare: Relation Network for Few-Shot Learning",
        authors=("Sung", "Yang", "Zhang", "Xiang", "Torr", "Hospedales"),
        venue="CVPR",
        year=2018,
        arxiv="1711.06025",
    )

    def __init__(self, num_features: int, *, hidden: int = 64) -> None:
        super().__init__()
        self.num_features = num_features
        check_counts(hidden=hidden)
        self.of_class = nn.Linear(num_features, hidden)
        self.of_query = nn.Linear(num_features, hidden, bias=False)  # together, one layer on [c, f]
        self.output = nn.Linear(hidden, 1)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers = prototypes(support, support_labels, way)
        pairs = self.of_class(centers).unsqueeze(1) + self.of_query(query).unsqueeze(2)
        logits: Tensor = self.output(F.relu(pairs)).squeeze(-1)
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared error of the relations to the one-hot labels."""
        wanted = (labels.unsqueeze(-1) == torch.arange(logits.shape[-1], device=labels.device)).to(logits.dtype)
        return F.mse_loss(logits.sigmoid(), wanted)
