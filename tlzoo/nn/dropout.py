"""Dropout whose random numbers belong to one method."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_shares
from tlzoo.nn.random_stream import RandomStream

__all__ = ["StreamDropout"]


class StreamDropout(nn.Module):
    """Dropout with its own random state, which is in the checkpoint, instead of torch's global one.

    Args:
        rate: probability that an entry becomes 0 in training; the others are divided by 1 - ``rate``.

    >>> dropout = StreamDropout(0.5)
    >>> sorted(set(dropout(torch.ones(100)).tolist())), dropout.eval()(torch.ones(2)).tolist()
    ([0.0, 2.0], [1.0, 1.0])
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        check_shares(below_one=True, rate=rate)
        self.rate = rate
        self.random = RandomStream()

    def forward(self, x: Tensor) -> Tensor:
        """Return x (...), with dropped entries in training."""
        if not self.training or not self.rate:
            return x
        with torch.no_grad():
            kept = torch.rand(x.shape, generator=self.random.next()) >= self.rate
            factors = kept.to(x) / (1 - self.rate)
        return x * factors
