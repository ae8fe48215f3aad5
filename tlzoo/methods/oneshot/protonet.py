"""Prototypical networks: the nearest class mean."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import negative_squared_distances, prototypes
from tlzoo.functional.checks import check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["ProtoNet"]


class ProtoNet(EpisodeClassifier):
    r"""Prototypical network (Snell, Swersky & Zemel, NeurIPS 2017), https://arxiv.org/abs/1703.05175.

    .. math:: \text{logits}_c = -\frac{1}{\tau} \lVert f - m_c \rVert^2

    with the mean m of a class's support features. On frozen features it is the nearest-centroid classifier, the
    baseline of every one-shot table.

    Args:
        temperature: tau.

    >>> import torch
    >>> support, labels, query = torch.tensor([[[0.0], [4.0]]]), torch.tensor([[0, 1]]), torch.tensor([[[1.0]]])
    >>> ProtoNet()(support, labels, query, way=2).tolist()
    [[[-1.0, -9.0]]]
    """

    paper = Paper(
        title="Prototypical Networks for Few-shot Learning",
        authors=("Snell", "Swersky", "Zemel"),
        venue="NeurIPS",
        year=2017,
        arxiv="1703.05175",
    )

    rotation_invariant = True

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = temperature

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers = prototypes(support, support_labels, way)
        return negative_squared_distances(query, centers) / self.temperature
