"""The geometric mean of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["Geometric"]

_LEAST = 1e-12


class Geometric(Weighting):
    r"""Geometric loss strategy (Chennupati et al., CVPR Workshops 2019), https://arxiv.org/abs/1904.08492.

    .. math:: \left( \prod_{t=1}^{T} L_t \right)^{1/T}

    Its gradient weights each loss by the total divided by :math:`T L_t`. The scales of the losses change it only by a
    common factor.

    Args:
        num_tasks: T.

    >>> Geometric(2).weights(torch.tensor([1.0, 4.0]))
    tensor([1.0000, 0.2500])
    """

    label = "geometric loss"
    paper = Paper(
        title="MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning",
        authors=("Chennupati", "Sistu", "Yogamani", "Rawashdeh"),
        venue="CVPR Workshops",
        year=2019,
        arxiv="1904.08492",
    )

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the geometric mean divided by the number of tasks times the loss, over tasks with labels."""
        losses = losses.detach().clamp_min(_LEAST)
        there = torch.ones_like(losses) if self.present is None else self.present.to(losses)
        mean = ((losses.log() * there).sum() / there.sum()).exp()
        return there * mean / (there.sum() * losses)
