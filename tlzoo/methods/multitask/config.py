"""ConFIG: a direction at the same angle to all task gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.gramians import left_singular
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["ConFIG"]

_STATIONARY = 1e-6


class ConFIG(GramianWeighting):
    """Conflict-free inverse gradients (Liu et al., ICLR 2025), https://arxiv.org/abs/2408.11104.

    The direction is pinv(U) 1, U the gradients at unit length, so that its cosines with all of them are equal; its
    length is the sum of the gradients' projections on it.

    Differs from the paper: pinv(U) 1 = U^T pinv(U U^T) 1, so that inner products are enough; they are summed in
    float64, and singular values that rounding explains count as zero.

    Args:
        num_tasks: T.

    >>> import torch
    >>> ConFIG(2).weights(torch.ones(2), torch.eye(2))
    tensor([1., 1.])
    """

    paper = Paper(
        title="ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks",
        authors=("Liu", "Chu", "Thuerey"),
        venue="ICLR",
        year=2025,
        arxiv="2408.11104",
    )

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return weights of the gradients in proportion to pinv(C) 1 / |g|, C their cosines."""
        lengths = gramian.diagonal().clamp_min(0).sqrt()
        inverse = lengths.reciprocal().where(lengths > 0, 0.0)
        cosines = gramian * inverse * inverse[:, None]
        vectors, values = left_singular(cosines)
        shares = vectors.T @ (lengths > 0).to(cosines) / values
        length = shares.norm()  # of the direction pinv(U) 1
        if length <= _STATIONARY:  # the gradients are Pareto stationary: no direction is at an angle to all
            return torch.zeros_like(lengths)
        angles = vectors @ (shares / values)
        projections = (cosines @ angles / length * lengths).sum()
        weights: Tensor = projections / length * angles * inverse
        return weights
