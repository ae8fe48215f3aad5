"""Random numbers that are a function of (seed, step), both of which a checkpoint holds."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Draws"]

_PRIME = 1_000_003


class Draws(nn.Module):
    """A stream of generators.

    The seed is drawn from torch's global state when it is built, so that it follows the seed of the run; later draws
    leave that state alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def next(self) -> torch.Generator:
        """Return the generator (on the CPU) of the next step."""
        seed, step = int(self.get_buffer("seed")), self.get_buffer("step")
        generator = torch.Generator().manual_seed((seed * _PRIME + int(step)) % 2**63)
        step.add_(1)
        return generator
