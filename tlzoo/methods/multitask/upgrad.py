"""UPGrad: project every gradient so that no task loses, then average."""

from __future__ import annotations

from torch import Tensor
from torchjd.aggregation import UPGradWeighting

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.methods.multitask.projector import Projector
from tlzoo.paper import Paper

__all__ = ["UPGrad"]


class UPGrad(GramianWeighting):
    r"""Unconflicting projection of gradients (Quinton & Rey, 2024), https://arxiv.org/abs/2406.16232.

    .. math:: d = \frac{1}{T} \sum_i \pi(g_i), \qquad
        \pi(g) = \arg\min_{v : J v \ge 0} \lVert v - g \rVert

    so no task loses: :math:`J d \ge 0`. TorchJD's weighting computes it, with our projection, which needs no compiled
    solver.

    Args:
        num_tasks: T.
        regularization: share of the trace of G to add to its diagonal, as in TorchJD; 0 is exact.

    >>> import torch
    >>> UPGrad(2, regularization=0.0).weights(torch.ones(2), torch.tensor([[1.0, -0.5], [-0.5, 1.0]]))
    tensor([0.7500, 0.7500])
    """

    paper = Paper(
        title="Jacobian Descent for Multi-Objective Optimization",
        authors=("Quinton", "Rey"),
        venue="arXiv",
        year=2024,
        arxiv="2406.16232",
    )
    variants = ({}, {"regularization": 0.0})

    def __init__(self, num_tasks: int, *, regularization: float = 1e-4) -> None:
        super().__init__(num_tasks)
        self.weighting = UPGradWeighting(projector=Projector(regularization))

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the mean of the weights of the projected gradients."""
        weights: Tensor = self.weighting(gramian)
        return weights
