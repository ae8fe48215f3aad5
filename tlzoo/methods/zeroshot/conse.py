"""ConSE: an image is described by a mixture of the seen classes that it resembles."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import prototypes
from tlzoo.methods.base import Compatibility, fitted
from tlzoo.paper import Paper

__all__ = ["ConSE"]


class ConSE(Compatibility):
    """Convex combination of semantic embeddings (Norouzi et al., ICLR 2014), https://arxiv.org/abs/1312.5650.

    A classifier of the seen classes gives p(c | x); e(x) = sum over the T most probable classes of p(c | x) a_c, their
    probabilities made to sum to 1; answers are cosines of e(x) and the candidates' embeddings.

    Args:
        num_features: D.
        num_embedding: A.
        top: T; the paper's best is 10. All seen classes where there are fewer.
        temperature: the classifier's logits are cosines to the mean direction of each seen class, divided by this.

    >>> conse = ConSE(2, 2, top=1).fit(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
    >>> conse.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Differs from the paper: its classifier is the softmax layer of a network trained on the seen classes; on frozen
    features it is the softmax over nearest class means here, in closed form. A class without example has no mean and
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
    sized_by_fit: ClassVar[tuple[str, ...]] = ("means", "mixed")

    def __init__(self, num_features: int, num_embedding: int, *, top: int = 10, temperature: float = 0.05) -> None:
        super().__init__()
        if top < 1 or temperature <= 0:
            raise ValueError(f"top {top} and temperature {temperature}; expected top >= 1 and temperature > 0")
        self.top, self.temperature = top, temperature
        self.register_buffer("means", torch.full((1, num_features), torch.nan))
        self.register_buffer("mixed", torch.full((1, num_embedding), torch.nan))

    def fit(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Self:
        """Take in the mean directions of features (N, D) by labels (N,), and class_embeddings (C, A)."""
        there, places = torch.unique(labels, return_inverse=True)
        x = F.normalize(features, dim=1)
        means = prototypes(x[None], places[None], way=len(there))[0]
        self.means = F.normalize(means, dim=1).to(self.get_buffer("means"))
        self.mixed = F.normalize(class_embeddings[there], dim=1).to(self.get_buffer("mixed"))
        return self

    def bind(self, class_embeddings: Tensor, *, seen: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the scorer of features (B, D) among candidates (C, A), cosines in [-1, 1].

        Raises:
            RuntimeError: before ``fit``.
        """
        means, mixed = fitted(self, "means"), fitted(self, "mixed")
        directions = F.normalize(class_embeddings, dim=1)

        def score(features: Tensor) -> Tensor:
            logits = F.normalize(features, dim=1) @ means.T / self.temperature
            # the softmax of the kept logits is that of all, made to sum to 1 among the kept
            kept, classes = logits.topk(min(self.top, len(means)), dim=1)
            mixture = (kept.softmax(dim=1)[..., None] * mixed[classes]).sum(dim=1)
            return F.normalize(mixture, dim=1) @ directions.T

        return score
