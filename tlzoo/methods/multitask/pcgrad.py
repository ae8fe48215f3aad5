"""PCGrad: project each gradient away from those that it conflicts with."""

from __future__ import annotations

import torch
from torch import Tensor
from torchjd.aggregation import PCGradWeighting

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["PCGrad"]


class PCGrad(GramianWeighting):
    r"""Gradient surgery (Yu et al., NeurIPS 2020), https://arxiv.org/abs/2001.06782.

    For every other gradient, in random order, that it conflicts with, a gradient loses its component along it:

    .. math:: g_i \leftarrow g_i - \frac{\langle g_i, g_j \rangle}{\lVert g_j \rVert^2} g_j
        \quad \text{if} \quad \langle g_i, g_j \rangle < 0

    The results are summed. TorchJD's weighting computes them from inner products.

    Args:
        num_tasks: T.

    >>> import torch
    >>> PCGrad(2).weights(torch.ones(2), torch.tensor([[1.0, -0.5], [-0.5, 1.0]]))
    tensor([1.5000, 1.5000])
    """

    paper = Paper(
        title="Gradient Surgery for Multi-Task Learning",
        authors=("Yu", "Kumar", "Gupta", "Levine", "Hausman", "Finn"),
        venue="NeurIPS",
        year=2020,
        arxiv="2001.06782",
    )
    revision = 2

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks)
        self.random = RandomStream()
        self.weighting = PCGradWeighting()

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the summed weights of the projected gradients."""
        with torch.random.fork_rng(devices=[]):
            # TorchJD draws its orders from the global state, which is not for a method to move
            torch.default_generator.set_state(self.random.next().get_state())
            weights: Tensor = self.weighting(gramian)
        return weights
