"""JDOT: transport features and labels together, and learn from the labels that arrive."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import standardization
from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.functional.transport import transport_plan
from tlzoo.methods.domain_method import are_values
from tlzoo.methods.target_labeling import TargetLabeling
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["JDOT", "RidgeCodes"]

_TOLERANCE = 1e-8


class JDOT(TargetLabeling):
    r"""Joint distribution optimal transport (Courty et al., NeurIPS 2017), https://arxiv.org/abs/1705.08848.

    .. math::

        \min_{f, \gamma} \; \sum_{ij} \gamma_{ij} \left( \alpha \lVert x_i - t_j \rVert^2
        + \lVert y_i - f(t_j) \rVert^2 \right) + \frac{\lambda}{M} \lVert f \rVert^2

    alternately for the plan (POT, exact) and for f, a ridge regression of one-hot codes on the labels that the plan
    brings, so that the objective never grows. The classifier on top is trained on the labels of the last plan.

    In a regression y holds the source's values, standardized, and the regression on top is trained on the values of the
    last plan.

    Differs from the paper: the loss of classes is the squared one, the paper's for regression; its classifiers have a
    hinge loss. f is linear, the paper's a kernel ridge regression.

    Args:
        num_features: D.
        num_classes: C; in a regression T.
        alpha: None for the paper's: 1 divided by the largest squared distance.
        penalty: lambda.
        rounds: largest number of alternations.
        standardize: whether each domain is standardized first.
    """

    for_regression = True
    paper = Paper(
        title="Joint Distribution Optimal Transportation for Domain Adaptation",
        authors=("Courty", "Flamary", "Habrard", "Rakotomamonjy"),
        venue="NeurIPS",
        year=2017,
        arxiv="1705.08848",
    )
    space = Space(alpha=LogUniform(0.0001, 1.0), penalty=LogUniform(0.01, 1000.0))
    variants = ({}, {"alpha": 0.5, "penalty": 10.0, "rounds": 3, "standardize": False})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        alpha: float | None = None,
        penalty: float = 1.0,
        rounds: int = 20,
        standardize: bool = True,
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_positive(penalty=penalty, **({} if alpha is None else {"alpha": alpha}))
        check_counts(rounds=rounds)
        self.alpha, self.penalty, self.rounds = alpha, penalty, rounds

    def label_target(self, source: Tensor, labels: Tensor, target: Tensor) -> Tensor:
        """Return (M, C) the labels that the last plan brings; in a regression the values (M, T)."""
        if are_values(labels):
            level, spread = standardization(labels.to(source))
            return level + spread * self._arrived(source, (labels.to(source) - level) / spread, target)
        return self._arrived(source, F.one_hot(labels, self.num_classes).to(source), target)

    def _arrived(self, source: Tensor, codes: Tensor, target: Tensor) -> Tensor:
        """Return what the last plan brings to the target (M, D) of the codes (N, C) of source (N, D)."""
        distances = torch.cdist(source, target).square()
        alpha = self.alpha or 1 / max(float(distances.max()), torch.finfo(distances.dtype).tiny)
        regression = RidgeCodes(target, self.penalty)
        answers: Tensor | None = None
        objective = torch.inf
        for _ in range(self.rounds):
            cost = alpha * distances
            if answers is not None:
                cost = cost + torch.cdist(codes, answers).square()
            plan = transport_plan(cost)
            arrived = len(target) * plan.T @ codes
            answers = regression(arrived)
            whole = alpha * distances + torch.cdist(codes, answers).square()
            found = float((plan * whole).sum() + regression.size(arrived) / len(target))
            if objective - found <= _TOLERANCE * abs(found):
                break
            objective = found
        return arrived


class RidgeCodes:
    """Ridge regression on fixed points (M, D) with an intercept, for any targets (M, C).

    Args:
        points: (M, D).
        penalty: lambda.
    """

    def __init__(self, points: Tensor, penalty: float) -> None:
        self.left, lengths, _ = torch.linalg.svd(points - points.mean(dim=0), full_matrices=False)
        self.penalty = penalty
        self.squares = lengths.square()

    def __call__(self, targets: Tensor) -> Tensor:
        """Return the fitted values (M, C)."""
        level = targets.mean(dim=0)
        shrunk = self.squares / (self.squares + self.penalty)
        fitted: Tensor = level + self.left * shrunk @ (self.left.T @ (targets - level))
        return fitted

    def size(self, targets: Tensor) -> Tensor:
        """Return lambda times the squared norm of the fitted weights."""
        scores = self.left.T @ (targets - targets.mean(dim=0))
        squares: Tensor = self.squares / (self.squares + self.penalty).square() @ scores.square()
        return self.penalty * squares.sum()
