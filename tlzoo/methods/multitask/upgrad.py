"""UPGrad: every gradient projected to where no task loses, then averaged."""

from __future__ import annotations

from torch import Tensor
from torchjd.aggregation import UPGradWeighting

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.methods.multitask.projector import Projector
from tlzoo.paper import Paper

__all__ = ["UPGrad"]


class UPGrad(GramianWeighting):
    """Unconflicting projection of gradients (Quinton & Rey, 2024), https://arxiv.org/abs/2406.16232.

    Each g_i is projected onto the cone of directions d with J d >= 0, and the results are averaged; so J d >= 0.
    TorchJD's weighting does it, with a projection of ours that needs no compiled solver.

    Args:
        num_tasks: T.
        regularization: share of the trace of G that is added to its diagonal, TorchJD's; 0 is exact.

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
        """Return the mean of the projected gradients' weights."""
        weights: Tensor = self.weighting(gramian)
        return weights
