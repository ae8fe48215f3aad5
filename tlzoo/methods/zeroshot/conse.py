"""ConSE: describe an image by a mixture of the seen classes that it resembles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import prototypes
from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.paper import Paper
from tlzoo.types import Scorer

__all__ = ["ConSE"]


class ConSE(LearnedCompatibility):
    r"""Convex combination of semantic embeddings (Norouzi et al., ICLR 2014), https://arxiv.org/abs/1312.5650.

    A classifier of the seen classes gives p(c | x). The scores are the cosines of the candidates' embeddings with

    .. math:: e(x) = \sum_{c \in \text{top } T} p(c \mid x) \, a_c

    where the probabilities of the T most probable classes are rescaled to sum to 1.

    Args:
        num_features: D.
        num_embedding: A.
        top: T; 10 is best in the paper. With fewer seen classes, all of them.
        temperature: divides the classifier's logits, the cosines to the mean direction of each seen class.

    >>> conse = ConSE(2, 2, top=1).fit(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
    >>> conse.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Differs from the paper: the paper's classifier is the softmax layer of a network trained on the seen classes; on
    frozen features, ours is a softmax over class means in closed form. A class without examples has no mean and
    probability 0.
    """

    paper = Paper(
        title="Zero-Shot Learning by Convex Combination of Semantic Embeddings",
        authors=("Norouzi", "Mikolov", "Bengio", "Singer", "Shlens", "Frome", "Corrado", "Dean"),
        venue="ICLR",
        year=2014,
        arxiv="1312.5650",
    )
    variants = ({}, {"top": 2})

    def __init__(self, num_features: int, num_embedding: int, *, top: int = 10, temperature: float = 0.05) -> None:
        super().__init__(num_features, num_embedding)
        check_counts(top=top)
        check_positive(temperature=temperature)
        self.top, self.temperature = top, temperature
        self.reserve("means", 1, num_features)
        self.reserve("mixed", 1, num_embedding)

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Store the mean directions of the classes and of their embeddings."""
        there, places = torch.unique(labels, return_inverse=True)
        x = F.normalize(features, dim=1)
        means = prototypes(x[None], places[None], way=len(there))[0]
        self.means, self.mixed = F.normalize(means, dim=1), F.normalize(class_embeddings[there], dim=1)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the cosines of e(x) and the candidates."""
        means, mixed = fitted(self, "means"), fitted(self, "mixed")
        directions = F.normalize(class_embeddings, dim=1)

        def score(features: Tensor) -> Tensor:
            logits = F.normalize(features, dim=1) @ means.T / self.temperature
            # the softmax of the kept logits equals that of all, rescaled to sum to 1
            kept, classes = logits.topk(min(self.top, len(means)), dim=1)
            mixture = (kept.softmax(dim=1)[..., None] * mixed[classes]).sum(dim=1)
            return F.normalize(mixture, dim=1) @ directions.T

        return score
