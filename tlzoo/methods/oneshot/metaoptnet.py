"""MetaOptNet: a support vector machine as the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional import memberships, project_on_simplex
from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["MetaOptNet"]


class MetaOptNet(EpisodeClassifier):
    r"""MetaOptNet-SVM (Lee, Maji, Ravichandran & Soatto, CVPR 2019), https://arxiv.org/abs/1904.03758.

    The multi-class SVM of Crammer and Singer in its dual form, over A (S, way) with rows that sum to 0:

    .. math::

        \min_A \; \tfrac{1}{2} \mathrm{tr}(A^\top X X^\top A) - \sum_{i, c} A_{ic} Y_{ic}
        \quad \text{with} \quad A \le C \, Y, \qquad \text{logits} = s \, Q X^\top A

    The scale s is learned over episodes.

    Args:
        slack: C. Features are scaled to a mean squared length of 1 on the support.
        steps: number of steps of accelerated projected gradient.

    Differs from the paper: it differentiates the steps of projected gradient instead of the solution of an
    interior-point method, and it scales the features.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[1.0, 0.0]]])
    >>> [round(v, 3) for v in MetaOptNet()(support, labels, query, way=2).flatten().tolist()]
    [0.1, -0.1]
    """

    paper = Paper(
        title="Meta-Learning with Differentiable Convex Optimization",
        authors=("Lee", "Maji", "Ravichandran", "Soatto"),
        venue="CVPR",
        year=2019,
        arxiv="1904.03758",
    )
    variants = ({}, {"slack": 10.0})
    rotation_invariant = True

    def __init__(self, *, slack: float = 0.1, steps: int = 50) -> None:
        super().__init__()
        check_positive(slack=slack)
        check_counts(steps=steps)
        self.slack, self.steps = slack, steps
        self.scale = nn.Parameter(torch.ones(()))

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        length = support.square().sum(dim=-1).mean(dim=-1).clamp_min(torch.finfo(support.dtype).tiny)
        size = length.sqrt()[:, None, None]
        support, query = support / size, query / size
        duals = self._duals(support @ support.transpose(1, 2), members)
        return self.scale * (query @ (support.transpose(1, 2) @ duals))

    def objective(self, duals: Tensor, products: Tensor, members: Tensor) -> Tensor:
        """Return what the dual minimizes (E,): tr(A^T X X^T A) / 2 - sum(A * Y), from A, X X^T and Y."""
        return ((products @ duals) / 2 - members).mul(duals).sum(dim=(1, 2))

    def _duals(self, products: Tensor, members: Tensor) -> Tensor:
        steepest = products.abs().sum(dim=2).amax(dim=1).clamp_min(1)[:, None, None]  # bounds the curvature
        duals = ahead = torch.zeros_like(members)
        for step in range(self.steps):
            lowered = ahead - (products @ ahead - members) / steepest
            new = self.slack * (members - project_on_simplex(members - lowered / self.slack))
            ahead = new + step / (step + 3) * (new - duals)
            duals = new
        return duals
