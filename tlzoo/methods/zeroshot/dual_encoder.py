"""A contrastively trained projection of image features into the space of a frozen text encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.paper import Paper
from tlzoo.types import Losses, Scorer

__all__ = ["DualEncoder"]


class DualEncoder(LearnedCompatibility):
    r"""Contrastive training of images and texts (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020.

    .. math:: F(x, c) = s \cos(g(x), a_c)

    with a learned scale s. The loss is the mean of two cross-entropies on a batch: of each image among the texts of the
    batch's classes, and of each of these texts among the images of the batch. A text with several images has all of
    them as equal targets.

    Args:
        num_features: D.
        num_embedding: A, the width of the text encoder, which stays frozen.
        hidden: width of the hidden layer of g; 0 for a linear map.
        scale: initial s; 1/0.07 in the paper, which limits it to 100.

    A batch of one class has nothing to contrast: its first term is 0.

    >>> encoder = DualEncoder(2, 2, hidden=0, scale=1.0)
    >>> _ = torch.nn.init.eye_(encoder.project.weight)
    >>> loss = encoder.loss(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))["loss"]
    >>> round(loss.item(), 4) == round(-math.log(math.e / (math.e + 1)), 4)
    True

    Differs from the paper: only the projection is trained, neither of the encoders. Captions are class descriptions, so
    several images of a batch share them.
    """

    label = "dual encoder"
    paper = Paper(
        title="Learning Transferable Visual Models From Natural Language Supervision",
        authors=(
            *("Radford", "Kim", "Hallacy", "Ramesh", "Goh", "Agarwal"),
            *("Sastry", "Askell", "Mishkin", "Clark", "Krueger", "Sutskever"),
        ),
        venue="ICML",
        year=2021,
        arxiv="2103.00020",
    )
    variants = ({}, {"hidden": 0})

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        hidden: int = 512,
        scale: float = 1 / 0.07,
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(scale=scale)
        check_counts(low=0, hidden=hidden)
        self.project: nn.Module = nn.Linear(num_features, num_embedding, bias=False)
        if hidden:
            first, last = nn.Linear(num_features, hidden), nn.Linear(hidden, num_embedding)
            self.project = nn.Sequential(first, nn.ReLU(), last)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    @property
    def scale(self) -> Tensor:
        """The factor of the cosines, at most 100."""
        return self.log_scale.exp().clamp_max(100.0)

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the contrastive loss of a batch."""
        there, places = torch.unique(labels, return_inverse=True)
        logits = self.scale * self._encoded(features) @ F.normalize(class_embeddings[there], dim=1).T
        image = F.cross_entropy(logits, places)
        share = F.one_hot(places, len(there)).to(logits)
        text = -(logits.log_softmax(dim=0) * share / share.sum(dim=0)).sum(dim=0).mean()
        return {"loss": (image + text) / 2, "image": image, "text": text, "scale": self.scale}

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the scaled cosines of g(x) and the candidates."""
        directions = F.normalize(class_embeddings, dim=1)
        return lambda features: self.scale * self._encoded(features) @ directions.T

    def _encoded(self, features: Tensor) -> Tensor:
        """Return (B, A) unit vectors; features are first scaled to length sqrt(D)."""
        x = F.normalize(features, dim=1) * features.shape[1] ** 0.5
        return F.normalize(self.project(x), dim=1)
