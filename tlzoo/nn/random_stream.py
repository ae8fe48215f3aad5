"""Random numbers that depend only on seed and step, which are both in the checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.randomness import Stream, torch_generator

__all__ = ["RandomStream"]


class RandomStream(nn.Module):
    """The random numbers of one method, independent of everything else in the run.

    Like initial weights, its seed is drawn from torch's global state at construction, so it follows the run's seed.
    Later draws do not change that state.
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
        """Return a generator (on the CPU) that is the same at every step, for draws that must not change."""
        return torch_generator(int(self.seed), Stream.METHOD_CONSTANT)

    def restart(self) -> None:
        """Return to the first step."""
        self.step.zero_()
