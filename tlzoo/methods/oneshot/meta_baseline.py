"""Meta-Baseline: cosine to the class mean, at a temperature that is learned over episodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import prototypes
from tlzoo.functional.checks import check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["MetaBaseline"]


class MetaBaseline(EpisodeClassifier):
    r"""Meta-Baseline (Chen et al., ICCV 2021), https://arxiv.org/abs/2003.04390.

    .. math:: \text{logits}_c = \tau \cos(f, m_c)

    with the mean m of a class's support features. The paper trains a network by classifying all base classes, then on
    episodes with these logits, the temperature with it. On frozen features the temperature alone is trained, which
    moves no answer: train the backbone (``training: episodic``) for the method as it is meant.

    Args:
        temperature: tau at the start.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[3.0, 0.0]]])
    >>> MetaBaseline()(support, labels, query, way=2).tolist()
    [[[10.0, 0.0]]]
    """

    label = "Meta-Baseline"
    paper = Paper(
        title="Meta-Baseline: Exploring Simple Meta-Learning for Few-Shot Learning",
        authors=("Chen", "Liu", "Xu", "Darrell", "Wang"),
        venue="ICCV",
        year=2021,
        arxiv="2003.04390",
    )
    rotation_invariant = True

    def __init__(self, *, temperature: float = 10.0) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = nn.Parameter(torch.tensor(float(temperature)))

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers = F.normalize(prototypes(support, support_labels, way), dim=-1)
        logits: Tensor = self.temperature * F.normalize(query, dim=-1) @ centers.mT
        return logits
