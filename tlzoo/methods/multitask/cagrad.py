"""CAGrad: the direction near the mean gradient that helps the worst task most."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.functional.gramians import cagrad_weights
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper
from tlzoo.space import Space, Uniform

__all__ = ["CAGrad"]


class CAGrad(GramianWeighting):
    r"""Conflict-averse gradient descent (Liu et al., NeurIPS 2021), https://arxiv.org/abs/2110.14048.

    .. math::

        \max_d \; \min_i \langle g_i, d \rangle \quad \text{with} \quad
        \lVert d - g_0 \rVert \le c \lVert g_0 \rVert

    with the mean gradient :math:`g_0`.

    Differs from the paper: the dual problem is solved to convergence; common code stops SLSQP early. A weight is at
    most 1,000 + 1 / T: if the worst task would need more, because its gradient is short or the gradients are Pareto
    stationary, d stays closer to the mean. A gradient shorter than 1e-5 of the longest does not count as the worst. The
    authors' code adds constants to norms instead, which depend on the scale of the losses.

    Args:
        num_tasks: T.
        c: radius of the ball as a share of the length of the mean gradient, >= 0; 0 gives the mean gradient.
        scaling: ``"paper"``, or ``"rescaled"``: divided by 1 + c^2 as in common code.

    >>> import torch
    >>> CAGrad(2, c=0.0).weights(torch.ones(2), torch.eye(2))
    tensor([0.5000, 0.5000])
    """

    paper = Paper(
        title="Conflict-Averse Gradient Descent for Multi-task Learning",
        authors=("Liu", "Liu", "Jin", "Stone", "Liu"),
        venue="NeurIPS",
        year=2021,
        arxiv="2110.14048",
    )
    space = Space(c=Uniform(0.1, 0.9))
    variants = ({}, {"scaling": "rescaled"}, {"c": 0.0})

    def __init__(self, num_tasks: int, *, c: float = 0.5, scaling: str = "paper") -> None:
        super().__init__(num_tasks)
        check_choice(scaling, ("paper", "rescaled"), what="scaling")
        if c < 0:
            raise ValueError(f"c {c}; expected a number >= 0")
        self.c, self.divisor = c, 1 + c**2 if scaling == "rescaled" else 1.0

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the weights of the mean gradient plus the step to the surface of the ball."""
        return cagrad_weights(gramian, self.c) / self.divisor
