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
    r"""Conflict-free inverse gradients (Liu et al., ICLR 2025), https://arxiv.org/abs/2408.11104.

    .. math::

        d = \left( \sum_i \langle g_i, u \rangle \right) u, \qquad
        u = \frac{U^+ \mathbf{1}}{\lVert U^+ \mathbf{1} \rVert}

    with the gradients U at unit length, so d has the same cosine with all of them.

    Differs from the paper: :math:`U^+ \mathbf{1} = U^\top (U U^\top)^+ \mathbf{1}` needs only inner products, which are
    summed in float64. Singular values that rounding explains count as zero.

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
        """Return the weights of the gradients, proportional to pinv(C) 1 / |g| with their cosines C."""
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
