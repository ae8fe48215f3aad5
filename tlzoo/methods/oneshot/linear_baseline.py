"""The linear baseline: a linear classifier trained on the support."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlzoo.functional import memberships
from tlzoo.functional.checks import check_at_least, check_counts, check_positive, check_shares
from tlzoo.methods.oneshot.descent import cross_entropy
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper

__all__ = ["LinearBaseline"]


class LinearBaseline(FeatureClassifier):
    """Baseline (Chen, Liu, Kira, Wang & Huang, ICLR 2019), https://arxiv.org/abs/1904.04232.

    A linear classifier on frozen features, trained on the support by cross-entropy with gradient descent, momentum and
    weight decay for a fixed number of steps.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot; the paper has UN.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        steps: number of steps of gradient descent.
        rate: learning rate.
        momentum: momentum of gradient descent.
        dampening: share of each new gradient, after the first, that the momentum leaves out; the authors' code has 0.9.
        weight_decay: weight decay of weights and offsets.

    Differs from the paper: each step takes the whole support rather than four of it; weights start at zero rather than
    at random; features are CL2N, of length 1, by default, and the rate is 1 for them rather than 0.01.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[2.0, 0.0]]])
    >>> LinearBaseline(2, transform="UN")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0]]
    """

    label = "Baseline"
    paper = Paper(
        title="A Closer Look at Few-shot Classification",
        authors=("Chen", "Liu", "Kira", "Wang", "Huang"),
        venue="ICLR",
        year=2019,
        arxiv="1904.04232",
    )
    variants = ({}, {"transform": "UN", "rate": 0.01}, {"dampening": 0.0, "rate": 0.1})
    revision = 2
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        steps: int = 100,
        rate: float = 1.0,
        momentum: float = 0.9,
        dampening: float = 0.9,
        weight_decay: float = 1e-3,
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
        check_counts(low=0, steps=steps)
        check_positive(rate=rate)
        check_at_least(0, momentum=momentum, weight_decay=weight_decay)
        check_shares(dampening=dampening)
        self.steps, self.rate, self.weight_decay = steps, rate, weight_decay
        self.momentum, self.dampening = momentum, dampening

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        support, query = _with_one(support), _with_one(query)
        products, shots = support @ support.transpose(1, 2), support.shape[1]
        duals = velocity = torch.zeros_like(members)  # weights stay X^T duals, because they start at zero
        for step in range(self.steps):
            slope = ((products @ duals).softmax(dim=-1) - members) / shots + self.weight_decay * duals
            velocity = self.momentum * velocity + (1 - self.dampening if step else 1) * slope
            duals = duals - self.rate * velocity
        return query @ (support.transpose(1, 2) @ duals)

    def objective(self, weights: Tensor, support: Tensor, members: Tensor) -> Tensor:
        """Return what the descent goes down (E,): the support's mean cross-entropy and half the decay of ||W||^2.

        Args:
            weights: (E, D + 1, way), offsets in the last row.
            support: (E, S, D).
            members: (E, S, way) labels as ones and zeros.
        """
        decay = self.weight_decay / 2 * weights.square().sum(dim=(1, 2))
        return cross_entropy(_with_one(support) @ weights, members) + decay


def _with_one(features: Tensor) -> Tensor:
    """Return features (E, N, D + 1) with a last column of ones for the offsets."""
    return torch.cat([features, torch.ones_like(features[..., :1])], dim=-1)
