"""Dynamic weight average: give more weight to tasks whose loss falls slowly."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["DWA"]


class DWA(Weighting):
    r"""Dynamic weight average (Liu, Johns & Davison, CVPR 2019), https://arxiv.org/abs/1803.10704.

    .. math:: w_t = T \, \mathrm{softmax}\left( \frac{1}{\tau} \frac{L_{t-1}}{L_{t-2}} \right)

    with the mean losses of the last two epochs and the temperature tau. In the first two epochs all weights are 1.

    Args:
        num_tasks: T.
        temperature: tau, > 0.

    >>> dwa = DWA(2)
    >>> dwa.on_epoch(torch.tensor([1.0, 1.0])), dwa.on_epoch(torch.tensor([1.0, 0.0]))
    (None, None)
    >>> dwa.weights(torch.ones(2))
    tensor([1.2449, 0.7551])
    """

    paper = Paper(
        title="End-to-End Multi-Task Learning with Attention",
        authors=("Liu", "Johns", "Davison"),
        venue="CVPR",
        year=2019,
        arxiv="1803.10704",
    )
    space = Space(temperature=LogUniform(0.5, 10.0))

    def __init__(self, num_tasks: int, *, temperature: float = 2.0) -> None:
        super().__init__(num_tasks)
        check_positive(temperature=temperature)
        self.temperature = temperature
        self.register_buffer("epochs", torch.full((2, num_tasks), torch.nan))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return T times the softmax of the rates of the last two epochs."""
        before, last = self.get_buffer("epochs")
        if bool(before.isnan().any()):
            return torch.ones_like(losses)
        rates = (last / before).where(before > 0, torch.ones_like(last))
        weights: Tensor = self.num_tasks * (rates / self.temperature).softmax(dim=0)
        return weights.to(losses)

    def on_epoch(self, mean_losses: Tensor) -> None:
        """Store the mean losses (T,) of the finished epoch."""
        epochs = self.get_buffer("epochs")
        epochs.copy_(torch.stack([epochs[1], mean_losses.detach().to(epochs)]))
