"""DualProj: the mean gradient projected to where no task loses."""

from __future__ import annotations

from torch import Tensor
from torchjd.aggregation import DualProjWeighting

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.methods.multitask.projector import Projector
from tlzoo.paper import Paper

__all__ = ["DualProj"]


class DualProj(GramianWeighting):
    """Projection as in gradient episodic memory (Lopez-Paz & Ranzato, NeurIPS 2017), https://arxiv.org/abs/1706.08840.

    d is the nearest direction to the mean gradient with J d >= 0. TorchJD's weighting does it, with a projection of
    ours.

    Differs from the paper: there the gradients of earlier tasks constrain that of the current one; here all constrain
    their mean.

    Args:
        num_tasks: T.
        regularization: share of the trace of G that is added to its diagonal, TorchJD's; 0 is exact.

    >>> import torch
    >>> DualProj(2).weights(torch.ones(2), torch.eye(2))
    tensor([0.5000, 0.5000])
    """

    paper = Paper(
        title="Gradient Episodic Memory for Continual Learning",
        authors=("Lopez-Paz", "Ranzato"),
        venue="NeurIPS",
        year=2017,
        arxiv="1706.08840",
    )
    variants = ({}, {"regularization": 0.0})

    def __init__(self, num_tasks: int, *, regularization: float = 1e-4) -> None:
        super().__init__(num_tasks)
        self.weighting = DualProjWeighting(projector=Projector(regularization))

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the weights of the projected mean."""
        weights: Tensor = self.weighting(gramian)
        return weights
