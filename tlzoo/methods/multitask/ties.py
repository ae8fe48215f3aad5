"""TIES: trim the changes of each task, elect signs, and average what agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from tlzoo.functional import ties
from tlzoo.functional.checks import check_positive, check_shares
from tlzoo.methods.merging import Merging
from tlzoo.paper import Paper
from tlzoo.space import Space, Uniform

__all__ = ["TIES"]


class TIES(Merging):
    """TIES-Merging (Yadav et al., NeurIPS 2023), https://arxiv.org/abs/2306.01708.

    See :func:`tlzoo.functional.ties`: of each task's changes the largest ``keep`` stay; each weight takes the sign that
    weighs more, and ``scale`` times the mean of the changes that have it.

    Differs from the paper: normalization statistics are averaged.

    Args:
        num_tasks: T.
        keep: share of the changes that stay.
        scale: lambda.
    """

    label = "TIES"
    paper = Paper(
        title="TIES-Merging: Resolving Interference When Merging Models",
        authors=("Yadav", "Tam", "Choshen", "Raffel", "Bansal"),
        venue="NeurIPS",
        year=2023,
        arxiv="2306.01708",
    )
    space = Space(scale=Uniform(0.5, 1.5), keep=Uniform(0.1, 0.5))

    def __init__(self, num_tasks: int, *, keep: float = 0.2, scale: float = 1.0) -> None:
        super().__init__(num_tasks)
        check_shares(above_zero=True, keep=keep)
        check_positive(scale=scale)
        self.keep, self.scale = keep, scale

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the start moved by the changes that agree."""
        return ties(start, states, keep=self.keep, scale=self.scale)
