"""MoDo: weights that follow the product of gradients on two independent batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tlzoo.functional import project_on_simplex
from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.methods.multitask.jacobian import JacobianWeighting
from tlzoo.paper import Paper

__all__ = ["MoDo"]


class MoDo(JacobianWeighting):
    r"""Multi-objective gradient with double sampling (Chen et al., NeurIPS 2023), https://arxiv.org/abs/2305.20057.

    .. math::

        \lambda \leftarrow \Pi_\Delta ( \lambda - \gamma (J_1 J_2^\top + \rho I) \lambda ), \qquad
        d = J_3^\top \lambda

    with the task gradients on three independent batches at the same weights, which leaves the step of lambda unbiased,
    and the projection onto the simplex. :class:`~tlzoo.lit.Multitask` takes every third row of a batch for each; give
    it batches three times as large as those of other methods to match the authors' steps. In your own loop, call
    :meth:`observe` with the first two Jacobians, then :meth:`direction` with the third.

    Differs from the paper: heads follow their own losses on the third part; the authors' code takes their mean over
    the three. Batch norm sees a third of the batch at a time.

    Args:
        num_tasks: T.
        gamma: step size of the weights.
        rho: weight of the squared length of lambda.

    >>> method = MoDo(2, gamma=0.1, rho=0.0)
    >>> method.observe([torch.diag(torch.tensor([2.0, 1.0])), torch.eye(2)])
    >>> method.direction(torch.eye(2))
    tensor([0.4750, 0.5250])
    """

    paper = Paper(
        title="Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and Conflict-Avoidance",
        authors=("Chen", "Fernando", "Ying", "Chen"),
        venue="NeurIPS",
        year=2023,
        arxiv="2305.20057",
    )
    samples: ClassVar[int] = 3

    def __init__(self, num_tasks: int, *, gamma: float = 0.001, rho: float = 0.1) -> None:
        super().__init__(num_tasks)
        check_positive(gamma=gamma)
        check_at_least(0, rho=rho)
        self.gamma, self.rho = gamma, rho
        self.register_buffer("lambdas", torch.full((num_tasks,), 1 / num_tasks))

    @torch.no_grad()
    def observe(self, jacobians: Sequence[Tensor]) -> None:
        """Update the weights by the gradients (T, P) on two independent batches.

        Raises:
            ValueError: there are not two, or their shapes differ.
        """
        shapes = [tuple(jacobian.shape) for jacobian in jacobians]
        if len(shapes) != 2 or shapes[0] != shapes[1] or shapes[0][:1] != (self.num_tasks,):
            raise ValueError(f"MoDo: Jacobians of shapes {shapes}; expected two of shape ({self.num_tasks}, P)")
        first, second = jacobians
        lambdas = self.get_buffer("lambdas")
        known = lambdas.to(first)
        slope = first @ (second.T @ known) + self.rho * known
        lambdas.copy_(project_on_simplex(known - self.gamma * slope))

    @torch.no_grad()
    def combine(self, jacobian: Tensor) -> Tensor:
        """Return J^T lambda."""
        direction: Tensor = self.get_buffer("lambdas").to(jacobian) @ jacobian
        return direction
