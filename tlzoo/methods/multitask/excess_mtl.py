"""ExcessMTL: give more weight to tasks far from their optimum."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.multitask.jacobian import JacobianWeighting
from tlzoo.paper import Paper

__all__ = ["ExcessMTL"]

_EPSILON = 1e-7


class ExcessMTL(JacobianWeighting):
    r"""Robust multitask learning with excess risks (He et al., ICML 2024), https://arxiv.org/abs/2402.02009.

    The excess risk of a task is estimated from its gradient:

    .. math:: E_i = g_i^\top H_i^{-1} g_i, \qquad w_i \propto w_i \exp\left( \eta \, \frac{E_i}{E_i^0} \right)

    with the root H of the summed squared gradients and the first value :math:`E_i^0`. The weights sum to T. At shared
    features (``space="features"``), gradients are summed over the batch for the risk, as in the authors' code.

    Args:
        num_tasks: T.
        step_size: eta, step size of the weights.
        heads: what parameters of single tasks follow: their losses ``"weighted"`` as in the paper, or their ``"own"``.

    >>> ExcessMTL(2).direction(torch.eye(2))  # the weights change from the second step on
    tensor([1., 1.])
    """

    paper = Paper(
        title="Robust Multi-Task Learning with Excess Risks",
        authors=("He", "Zhou", "Zhang", "Yun", "Xu", "Zeng", "Chilimbi", "Zhao"),
        venue="ICML",
        year=2024,
        arxiv="2402.02009",
    )

    revision = 2
    variants = ({}, {"heads": "own"})

    def __init__(
        self, num_tasks: int, *, step_size: float = 0.01, heads: Literal["weighted", "own"] = "weighted"
    ) -> None:
        super().__init__(num_tasks)
        check_positive(step_size=step_size)
        self.step_size, self.heads = step_size, heads
        self.reserve("squares", num_tasks, 0)
        self.register_buffer("first_risks", torch.full((num_tasks,), torch.nan))
        self.register_buffer("log_weights", torch.zeros(num_tasks))

    @torch.no_grad()
    def combine(self, jacobian: Tensor) -> Tensor:
        """Update the weights, then map J (T, P) to J^T w (P,)."""
        parts = [part.sum(dim=1).flatten(1) for part in self.by_feature(jacobian)]
        gradients = torch.cat(parts, dim=1) if parts else jacobian
        squares = self.widened("squares", gradients).add_(gradients.square())
        risks = (gradients.square() / (squares + _EPSILON).sqrt()).sum(dim=1)
        first, log_weights = self.get_buffer("first_risks"), self.get_buffer("log_weights")
        known = ~first.isnan()
        relative = (risks / first.clamp_min(_EPSILON)).where(known & (risks > 0), torch.zeros_like(risks))
        log_weights.add_(self.step_size * relative)
        log_weights.sub_(log_weights.logsumexp(dim=0))
        first.copy_(risks.where(~known & (risks > 0), first))
        return self._task_weights().to(jacobian) @ jacobian

    def private_weights(self, weights: Tensor | None) -> Tensor | None:
        """Return the weights of the tasks, unless heads follow their own losses."""
        return self._task_weights() if self.heads == "weighted" else None

    def _task_weights(self) -> Tensor:
        return self.num_tasks * self.get_buffer("log_weights").exp()
