"""ESZSL: a bilinear compatibility in closed form."""

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

__all__ = ["ESZSL"]


class ESZSL(LearnedCompatibility):
    r"""Embarrassingly simple zero-shot learning (Romera-Paredes & Torr, ICML 2015).

    For examples X (N, D), coded labels Y (N, C) and class embeddings A (C, E),

    .. math:: V = (X^\top X + \gamma I)^{-1} X^\top Y A (A^\top A + \lambda I)^{-1}

    minimizes

    .. math::

        \lVert X V A^\top - Y \rVert^2 + \gamma \lVert V A^\top \rVert^2 + \lambda \lVert X V \rVert^2
        + \gamma \lambda \lVert V \rVert^2

    Source: https://proceedings.mlr.press/v37/romera-paredes15.html.

    Args:
        num_features: D.
        num_embedding: E.
        gamma: penalty for the features; the paper searches 10^-3 ... 10^3 by validation.
        lam: lambda, penalty for the class embeddings.
        coding: ``"binary"``: 0 and 1; ``"signed"``: -1 and 1, as in the paper.
        normalize: divide features by their norm first.

    >>> eszsl = ESZSL(num_features=2, num_embedding=2, gamma=1e-3, lam=1e-3)
    >>> _ = eszsl.fit(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))
    >>> eszsl.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).argmax(dim=1).tolist()
    [0, 1]
    """

    paper = Paper(
        title="An Embarrassingly Simple Approach to Zero-shot Learning",
        authors=("Romera-Paredes", "Torr"),
        venue="ICML",
        year=2015,
        page="https://proceedings.mlr.press/v37/romera-paredes15.html",
    )
    space = Space(gamma=LogUniform(0.001, 1000.0), lam=LogUniform(0.001, 1000.0))
    variants = ({}, {"coding": "signed"}, {"normalize": False})

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        gamma: float = 1.0,
        lam: float = 1.0,
        coding: Literal["binary", "signed"] = "binary",
        normalize: bool = True,
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_choice(coding, ("binary", "signed"), what="coding")
        check_positive(gamma=gamma, lam=lam)  # at 0 the solution need not exist
        self.gamma, self.lam, self.coding, self.normalize = gamma, lam, coding, normalize
        self.reserve("weight", num_features, num_embedding)

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Solve for V, in float64."""
        x, a = self._scaled(features).double(), class_embeddings.double()
        y = F.one_hot(labels, len(a)).double()
        if self.coding == "signed":
            y = 2 * y - 1
        left = x.T @ x + self.gamma * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        right = a.T @ a + self.lam * torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
        solution = torch.linalg.solve(left, x.T @ (y @ a))
        self.weight = torch.linalg.solve(right, solution.T).T.to(features)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return f^T V a."""
        projected = fitted(self, "weight") @ class_embeddings.T
        return lambda features: self._scaled(features) @ projected

    def _scaled(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=1) if self.normalize else features
