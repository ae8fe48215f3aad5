"""DualProj: project the mean gradient so that no task loses."""

from __future__ import annotations

from torch import Tensor
from torchjd.aggregation import DualProjWeighting

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.methods.multitask.projector import Projector
from tlzoo.paper import Paper

__all__ = ["DualProj"]


class DualProj(GramianWeighting):
    r"""Projection as in gradient episodic memory (Lopez-Paz & Ranzato, NeurIPS 2017), https://arxiv.org/abs/1706.08840.

    .. math:: \min_d \lVert d - g_0 \rVert \quad \text{with} \quad J d \ge 0

    with the mean gradient :math:`g_0`. TorchJD's weighting computes it with our projection.

    Differs from the paper: in the paper, the gradients of earlier tasks constrain the current one; here, all gradients
    constrain their mean.

    Args:
        num_tasks: T.
        regularization: share of the trace of G to add to its diagonal, as in TorchJD; 0 is exact.

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
