"""Logistic regression on normalized features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlzoo.functional import memberships
from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.oneshot.descent import cross_entropy
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space

__all__ = ["Logistic", "logistic_answers"]


class Logistic(FeatureClassifier):
    r"""Logistic regression (Tian, Wang, Krishnan, Tenenbaum & Isola, ECCV 2020), https://arxiv.org/abs/2003.11539.

    Accelerated gradient descent minimizes

    .. math:: \tfrac{1}{2} \lVert W \rVert^2 + C \sum_i \mathrm{CE}(W f_i + b, y_i)

    over weights W and unpenalized offsets b. The lengths of the features bound the step.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot; the paper has L2N.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        strength: C, the weight of the data, as in scikit-learn.
        steps: number of steps of gradient descent.

    Differs from the paper: CL2N by default; gradient descent instead of L-BFGS, to the same minimum.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[2.0, 0.0]]])
    >>> Logistic(2, transform="L2N")(support, labels, query, way=2).softmax(-1)[0, 0, 0].item() > 0.5
    True
    """

    label = "logistic regression"
    paper = Paper(
        title="Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?",
        authors=("Tian", "Wang", "Krishnan", "Tenenbaum", "Isola"),
        venue="ECCV",
        year=2020,
        arxiv="2003.11539",
    )
    variants = ({}, {"transform": "L2N", "strength": 10.0})
    space = Space(strength=LogUniform(0.1, 100.0), transform=Choice(("L2N", "CL2N")))
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        strength: float = 1.0,
        steps: int = 200,
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
        check_positive(strength=strength)
        check_counts(steps=steps)
        self.strength, self.steps = strength, steps

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        return logistic_answers(support, support_labels, query, way=way, strength=self.strength, steps=self.steps)

    def objective(self, weights: Tensor, offsets: Tensor, support: Tensor, members: Tensor) -> Tensor:
        """Return what is minimized (E,): ||W||^2 / 2 + strength * sum of cross-entropies.

        Args:
            weights: (E, D, way).
            offsets: (E, 1, way).
            support: (E, S, D).
            members: (E, S, way) labels as ones and zeros.
        """
        losses = members.shape[1] * cross_entropy(support @ weights + offsets, members)
        return weights.square().sum(dim=(1, 2)) / 2 + self.strength * losses


def logistic_answers(
    support: Tensor, support_labels: Tensor, query: Tensor, *, way: int, strength: float, steps: int
) -> Tensor:
    """Fit support (E, S, D) with support_labels (E, S) and return the logits (E, Q, way) of query (E, Q, D)."""
    members = memberships(support_labels, way, dtype=support.dtype)
    duals, offsets = _minimum(support @ support.transpose(1, 2), members, strength=strength, steps=steps)
    return query @ (support.transpose(1, 2) @ duals) + offsets


def _minimum(products: Tensor, members: Tensor, *, strength: float, steps: int) -> tuple[Tensor, Tensor]:
    """Return A (E, S, way) with W = X^T A, the form of the minimum, and offsets (E, 1, way)."""
    reach = products.abs().sum(dim=2).amax(dim=1)[:, None, None]
    steepest = 1 + strength * reach  # bounds the curvature: half the reach for weights, half for offsets
    unit = reach / products.shape[1]  # measures offsets so that their curvature is at most the weights'
    pace = (steepest.sqrt() - 1) / (steepest.sqrt() + 1)
    duals = ahead = torch.zeros_like(members)
    offsets = ahead_offsets = torch.zeros_like(members[:, :1])
    for _ in range(steps):
        pull = strength * (members - (products @ ahead + ahead_offsets).softmax(dim=-1))
        new = ahead + (pull - ahead) / steepest
        new_offsets = ahead_offsets + unit * pull.sum(dim=1, keepdim=True) / steepest
        ahead, ahead_offsets = new + pace * (new - duals), new_offsets + pace * (new_offsets - offsets)
        duals, offsets = new, new_offsets
    return duals, offsets
