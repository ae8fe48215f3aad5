"""Ridge regression from features to class embeddings, scored by cosine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.types import Scorer

__all__ = ["Ridge"]


class Ridge(LearnedCompatibility):
    r"""A linear map from L2-normalized features to the embedding of their class, by penalized least squares.

    .. math:: W = (X^\top X + \lambda I)^{-1} X^\top A

    where the rows of A are the embeddings of each example's class. Scores are cosines. It is the baseline of zero-shot
    tables if features and descriptions live in different spaces.

    Args:
        num_features: D.
        num_embedding: A.
        penalty: lambda, penalty of the squared weights.

    >>> ridge = Ridge(num_features=2, num_embedding=2).fit(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
    >>> ridge.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).argmax(dim=1).tolist()
    [0, 1]
    """

    def __init__(self, num_features: int, num_embedding: int, *, penalty: float = 1.0) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(penalty=penalty)  # at 0 the solution need not exist
        self.penalty = penalty
        self.reserve("weight", num_features, num_embedding)

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Solve for the map, in float64."""
        x = F.normalize(features, dim=1).double()
        regularized = x.T @ x + self.penalty * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        solution = torch.linalg.solve(regularized, x.T @ class_embeddings.double()[labels])
        self.weight = solution.to(features)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the cosines of f W and the candidates."""
        weight, directions = fitted(self, "weight"), F.normalize(class_embeddings, dim=1)
        return lambda features: F.normalize(F.normalize(features, dim=1) @ weight, dim=1) @ directions.T
