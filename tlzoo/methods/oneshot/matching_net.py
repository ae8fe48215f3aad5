"""Matching networks: the support votes by similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import cosine_similarities, memberships
from tlzoo.functional.checks import check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["MatchingNet"]


class MatchingNet(EpisodeClassifier):
    r"""Matching network (Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra, NIPS 2016), https://arxiv.org/abs/1606.04080.

    .. math:: \text{logits}_c = \log \sum_{i : y_i = c} \mathrm{softmax}_i\left( s \cos(q, f_i) \right)

    with the softmax over the support.

    Differs from the paper: no full-context embeddings; support and queries share one backbone.

    Args:
        scale: s; 1 in the paper. Larger values train faster, because cosines lie in [-1, 1].

    >>> import torch
    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[5.0, 0.0]]])
    >>> [round(p, 3) for p in MatchingNet()(support, labels, query, way=2).exp().flatten().tolist()]
    [0.731, 0.269]
    """

    label = "matching network"
    paper = Paper(
        title="Matching Networks for One Shot Learning",
        authors=("Vinyals", "Blundell", "Lillicrap", "Kavukcuoglu", "Wierstra"),
        venue="NIPS",
        year=2016,
        arxiv="1606.04080",
    )
    variants = ({}, {"scale": 10.0})
    rotation_invariant = True

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__()
        check_positive(scale=scale)
        self.scale = scale

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to log-probabilities (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        attention = (self.scale * cosine_similarities(query, support)).log_softmax(dim=-1)
        votes = attention.unsqueeze(3) + members.log().unsqueeze(1)
        return torch.logsumexp(votes, dim=2)
