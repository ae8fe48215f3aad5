"""Ridge regression between features and class embeddings, scored by cosine."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.space import Choice, LogUniform, Space
from tlzoo.types import Scorer

__all__ = ["Ridge"]


class Ridge(LearnedCompatibility):
    r"""A linear map between L2-normalized features and the embedding of their class, by penalized least squares.

    .. math:: W = (X^\top X + \lambda I)^{-1} X^\top A \qquad V = (A^\top A + \lambda I)^{-1} A^\top X

    where the rows of A are the embeddings of each example's class. Scores are cosines: of f W and the embeddings or,
    with the regression the other way, of f and the embeddings mapped by V. The latter makes fewer candidates the
    neighbor of everything (Shigeto, Suzuki, Hara, Shimbo & Matsumoto, ECML 2015, https://arxiv.org/abs/1506.07613).
    Tuned both ways, it is the baseline of zero-shot tables if features and descriptions live in different spaces.

    Args:
        num_features: D.
        num_embedding: A.
        penalty: lambda, penalty of the squared weights.
        onto: what is predicted: the ``"embeddings"`` of classes from features, or the ``"features"`` from embeddings.

    >>> ridge = Ridge(num_features=2, num_embedding=2).fit(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
    >>> ridge.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).argmax(dim=1).tolist()
    [0, 1]
    """

    space = Space(penalty=LogUniform(0.01, 100.0), onto=Choice(("embeddings", "features")))
    variants = ({}, {"onto": "features"})

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        penalty: float = 1.0,
        onto: Literal["embeddings", "features"] = "embeddings",
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(penalty=penalty)  # at 0 the solution need not exist
        check_choice(onto, ("embeddings", "features"), what="onto")
        self.penalty, self.onto = penalty, onto
        self.reserve("weight", num_features, num_embedding)

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Solve for the map, in float64."""
        x, embedded = F.normalize(features, dim=1).double(), class_embeddings.double()[labels]
        given, wanted = (x, embedded) if self.onto == "embeddings" else (embedded, x)
        regularized = given.T @ given + self.penalty * torch.eye(given.shape[1], dtype=x.dtype, device=x.device)
        solution = torch.linalg.solve(regularized, given.T @ wanted)
        self.weight = (solution if self.onto == "embeddings" else solution.T).to(features)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the cosines of f W and the candidates, or of f and the candidates mapped to features."""
        weight = fitted(self, "weight")
        if self.onto == "features":
            directions = F.normalize(class_embeddings @ weight.T, dim=1)
            return lambda features: F.normalize(features, dim=1) @ directions.T
        directions = F.normalize(class_embeddings, dim=1)
        return lambda features: F.normalize(F.normalize(features, dim=1) @ weight, dim=1) @ directions.T
