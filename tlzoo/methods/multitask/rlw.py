"""Random loss weighting: new random weights at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["RLW"]


class RLW(Weighting):
    r"""Random loss weighting (Lin et al., TMLR 2022), https://arxiv.org/abs/2111.10603.

    .. math:: w = \mathrm{softmax}(z), \qquad z \sim \mathcal{N}(0, I)

    new ones at every step.

    Args:
        num_tasks: T.

    >>> round(RLW(3).weights(torch.ones(3)).sum().item(), 6)
    1.0
    """

    paper = Paper(
        title="Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning",
        authors=("Lin", "Ye", "Zhang", "Tsang"),
        venue="TMLR",
        year=2022,
        arxiv="2111.10603",
    )
    revision = 2

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks)
        self.random = RandomStream()

    @torch.no_grad()
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the softmax of normal numbers."""
        drawn = torch.randn(self.num_tasks, generator=self.random.next(), dtype=torch.float64)
        return drawn.softmax(dim=0).to(losses)
