"""DARE: drop most changes at random, and rescale the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from tlzoo.functional import dare
from tlzoo.functional.checks import check_positive, check_shares
from tlzoo.methods.merging import Merging
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.space import Choice, Space, Uniform

__all__ = ["DARE"]


class DARE(Merging):
    """Drop and rescale, then task arithmetic (Yu et al., ICML 2024), https://arxiv.org/abs/2311.03099.

    See :func:`tlzoo.functional.dare`: each change is dropped with probability ``drop``, and the others are divided by
    1 - ``drop``. The draw depends on the run's seed alone.

    Differs from the paper: it merges language models, whose changes are small enough for ``drop`` = 0.9; normalization
    statistics are averaged.

    Args:
        num_tasks: T.
        drop: probability, below 1.
        scale: lambda of the sum of changes.
    """

    label = "DARE"
    paper = Paper(
        title="Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch",
        authors=("Yu", "Yu", "Yu", "Huang", "Li"),
        venue="ICML",
        year=2024,
        arxiv="2311.03099",
    )
    space = Space(scale=Uniform(0.1, 1.0), drop=Choice((0.1, 0.5, 0.9)))

    def __init__(self, num_tasks: int, *, drop: float = 0.9, scale: float = 0.3) -> None:
        super().__init__(num_tasks)
        check_shares(below_one=True, drop=drop)
        check_positive(scale=scale)
        self.drop, self.scale = drop, scale
        self.random = RandomStream()

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the start moved by the changes that were not dropped."""
        return dare(start, states, drop=self.drop, scale=self.scale, generator=self.random.constant())
