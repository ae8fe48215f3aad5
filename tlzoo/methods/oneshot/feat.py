"""FEAT: class means adapted to each other by self-attention."""

from __future__ import annotations

from torch import Tensor, nn

from tlzoo.functional import negative_squared_distances, prototypes
from tlzoo.functional.checks import check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["FEAT"]


class FEAT(EpisodeClassifier):
    r"""FEAT (Ye, Hu, Zhan & Sha, CVPR 2020), https://arxiv.org/abs/1812.03664.

    Class means C pass through self-attention with one head, trained over episodes:

    .. math::

        C' = \mathrm{norm}\left( C + \mathrm{softmax}\left( \frac{C W_q (C W_k)^\top}{\sqrt{D}} \right) C W_v W_o
        \right), \qquad \text{logits}_c = -\frac{1}{\tau} \lVert f - c'_c \rVert^2

    Args:
        num_features: D.
        temperature: tau; 64 in the paper's code.

    Differs from the paper: no contrastive term and no dropout.

    >>> import torch
    >>> episodes = torch.ones(1, 2, 4), torch.tensor([[0, 1]]), torch.ones(1, 3, 4)
    >>> FEAT(4)(*episodes, way=2).shape
    torch.Size([1, 3, 2])
    """

    paper = Paper(
        title="Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions",
        authors=("Ye", "Hu", "Zhan", "Sha"),
        venue="CVPR",
        year=2020,
        arxiv="1812.03664",
    )

    def __init__(self, num_features: int, *, temperature: float = 64.0) -> None:
        super().__init__()
        self.num_features = num_features
        check_positive(temperature=temperature)
        self.temperature = temperature
        self.queries, self.keys, self.values = (nn.Linear(num_features, num_features, bias=False) for _ in range(3))
        self.output = nn.Linear(num_features, num_features)
        self.norm = nn.LayerNorm(num_features)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers = prototypes(support, support_labels, way)
        scores = self.queries(centers) @ self.keys(centers).transpose(1, 2) / centers.shape[-1] ** 0.5
        adapted: Tensor = self.norm(centers + self.output(scores.softmax(dim=-1) @ self.values(centers)))
        return negative_squared_distances(query, adapted) / self.temperature
