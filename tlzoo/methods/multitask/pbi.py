"""PBI: how far the losses are along a preferred direction, and how far beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.multitask.cosmos import preference_of
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["PBI"]

_EPS = 1e-12


class PBI(Weighting):
    r"""Penalty-based boundary intersection (Zhang & Li, 2007), https://doi.org/10.1109/TEVC.2007.892759.

    .. math:: d_1 + \theta \, d_2, \qquad d_1 = (L - z)^\top \hat w, \qquad
        d_2 = \lVert L - z - d_1 \hat w \rVert

    for a preferred direction w, scaled to length 1, and an ideal point z. Its gradient weights the losses, some below 0
    where theta is large: a loss that is small for its preference may rise.

    Differs from the paper: gradients train one network for one direction, where an evolutionary algorithm keeps a
    solution for each of many.

    Args:
        num_tasks: T.
        penalty: theta; the paper takes 5.
        preference: w, T numbers > 0; None for equal ones.
        ideal: z, T numbers that the losses do not fall below; None for zeros.

    >>> PBI(2, penalty=0.0).weights(torch.tensor([3.0, 4.0]))
    tensor([0.7071, 0.7071])
    """

    paper = Paper(
        title="MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition",
        authors=("Zhang", "Li"),
        venue="IEEE Transactions on Evolutionary Computation",
        year=2007,
        doi="10.1109/TEVC.2007.892759",
    )
    variants = ({}, {"penalty": 0.5, "preference": (0.2, 0.3, 0.5), "ideal": (0.1, 0.0, -0.2)})

    def __init__(
        self,
        num_tasks: int,
        *,
        penalty: float = 5.0,
        preference: Sequence[float] | None = None,
        ideal: Sequence[float] | None = None,
    ) -> None:
        super().__init__(num_tasks)
        check_at_least(0, penalty=penalty)
        ideal = [0.0] * num_tasks if ideal is None else list(ideal)
        if len(ideal) != num_tasks:
            raise ValueError(f"ideal {ideal} for {num_tasks} tasks; expected a number for each")
        self.penalty = penalty
        self.register_buffer("preference", preference_of(num_tasks, preference))
        self.register_buffer("ideal", torch.tensor(ideal))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the gradient of the objective, of the tasks with labels."""
        losses = losses.detach()
        moved = self.those_present(losses - self.get_buffer("ideal").to(losses))
        wanted = self.those_present(self.get_buffer("preference").to(losses))
        direction = wanted / wanted.norm().clamp_min(torch.finfo(losses.dtype).tiny)
        beside = moved - (moved @ direction) * direction
        gradient: Tensor = direction + self.penalty * beside / (beside.square().sum() + _EPS).sqrt()
        return gradient
