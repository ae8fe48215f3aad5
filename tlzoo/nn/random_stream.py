"""Random numbers that are a function of (seed, step), both of which a checkpoint holds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.randomness import Stream, torch_generator

__all__ = ["RandomStream"]


class RandomStream(nn.Module):
    """The random numbers of one method, apart from those of everything else in the run.

    Its seed is drawn from torch's global state when it is built, as initial weights are, so it follows the run's seed;
    later draws leave that state alone.
    """

    seed: Tensor
    step: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seed", torch.randint(2**63 - 1, ()))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def next(self) -> torch.Generator:
        """Return the generator (on the CPU) of the next step."""
        generator = torch_generator(int(self.seed), Stream.METHOD_STEPS, int(self.step))
        self.step.add_(1)
        return generator

    def constant(self) -> torch.Generator:
        """Return a generator (on the CPU) that is the same at every step: for what must not change between calls."""
        return torch_generator(int(self.seed), Stream.METHOD_CONSTANT)

    def restart(self) -> None:
        """Go back to the first step."""
        self.step.zero_()
