"""SAE: a linear map to class embeddings whose transpose maps back to the features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Scorer

__all__ = ["SAE"]


class SAE(LearnedCompatibility):
    r"""Semantic autoencoder (Kodirov et al., CVPR 2017), https://arxiv.org/abs/1704.08345.

    For examples X (D, N) and the embeddings S (A, N) of their classes, W (A, D) minimizes

    .. math:: \lVert X - W^\top S \rVert^2 + \lambda \lVert W X - S \rVert^2,

    which leads to the Sylvester equation

    .. math:: S S^\top W + \lambda W X X^\top = (1 + \lambda) S X^\top

    Both matrices are symmetric, so it is solved in their eigenvectors. If both eigenvalues are 0, the shortest solution
    is taken.

    Args:
        num_features: D.
        num_embedding: A.
        penalty: lambda, weight of the encoder.
        answer: ``"encode"``: cosine of W x and the class embedding a; ``"decode"``: cosine of x and W^T a. The paper
            reports both.

    >>> sae = SAE(num_features=2, num_embedding=2).fit(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
    >>> sae.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).argmax(dim=1).tolist()
    [0, 1]

    Differs from the paper: features and embeddings are L2-normalized, so that the same penalty fits any backbone.
    """

    paper = Paper(
        title="Semantic Autoencoder for Zero-Shot Learning",
        authors=("Kodirov", "Xiang", "Gong"),
        venue="CVPR",
        year=2017,
        arxiv="1704.08345",
    )
    space = Space(penalty=LogUniform(0.001, 1000.0))
    variants = ({}, {"answer": "decode"})

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        penalty: float = 1.0,
        answer: Literal["encode", "decode"] = "encode",
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_choice(answer, ("encode", "decode"), what="answer")
        check_positive(penalty=penalty)
        self.penalty, self.answer = penalty, answer
        self.reserve("weight", num_embedding, num_features)

    @torch.no_grad()  # eigenvectors have no gradient where eigenvalues are equal
    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Solve for W, in float64."""
        x = F.normalize(features, dim=1).double()
        s = F.normalize(class_embeddings, dim=1).double()[labels]
        rows, left = torch.linalg.eigh(s.T @ s)
        columns, right = torch.linalg.eigh(x.T @ x)
        divisor = rows[:, None].clamp_min(0) + self.penalty * columns.clamp_min(0)
        inside = left.T @ ((1 + self.penalty) * s.T @ x) @ right
        solvable = divisor > 1e-12 * divisor.max()
        solution = torch.where(solvable, inside / divisor.where(solvable, 1.0), 0.0)
        self.weight = (left @ solution @ right.T).to(features)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return cosines of W f and the candidates, or of f and W^T of them."""
        weight, directions = fitted(self, "weight"), F.normalize(class_embeddings, dim=1)
        if self.answer == "encode":
            return lambda features: F.normalize(F.normalize(features, dim=1) @ weight.T, dim=1) @ directions.T
        decoded = F.normalize(directions @ weight, dim=1)
        return lambda features: F.normalize(features, dim=1) @ decoded.T
