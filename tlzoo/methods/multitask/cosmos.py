"""COSMOS: a weighted sum of the losses, and the angle that they make with a preference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["COSMOS"]


class COSMOS(Weighting):
    r"""Conditioned one-shot multi-objective search (Ruchte & Grabocka, ICDM 2021), https://arxiv.org/abs/2103.13392.

    .. math:: \sum_t r_t L_t - \lambda \, \frac{r^\top L}{\lVert r \rVert \, \lVert L \rVert}

    for a preference r. Its gradient weights the losses, some below 0 where lambda is large: a loss that is small for
    its preference may rise.

    Differs from the paper: the preference is fixed, and the network is not told; the paper draws one in each step and
    gives it to the network with the inputs, which then holds a whole front. This is its objective.

    Args:
        num_tasks: T.
        alignment: lambda; the authors take 2 on Multi-MNIST, and 0.01 to 8 elsewhere.
        preference: r, T numbers > 0; None for 1 / T each.

    >>> COSMOS(2, alignment=2.0).weights(torch.tensor([3.0, 4.0]))
    tensor([0.4547, 0.5339])
    """

    paper = Paper(
        title="Scalable Pareto Front Approximation for Deep Multi-Objective Learning",
        authors=("Ruchte", "Grabocka"),
        venue="ICDM",
        year=2021,
        arxiv="2103.13392",
    )
    variants = ({}, {"alignment": 0.1, "preference": (0.2, 0.3, 0.5)})

    def __init__(self, num_tasks: int, *, alignment: float = 2.0, preference: Sequence[float] | None = None) -> None:
        super().__init__(num_tasks)
        check_at_least(0, alignment=alignment)
        self.alignment = alignment
        self.register_buffer("preference", preference_of(num_tasks, preference))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the gradient of the objective, of the tasks with labels."""
        losses = self.those_present(losses.detach())
        r = self.those_present(self.get_buffer("preference").to(losses))
        tiny = torch.finfo(losses.dtype).tiny
        length = losses.norm().clamp_min(tiny)
        toward, along = losses / length, r / r.norm().clamp_min(tiny)
        gradient: Tensor = r - self.alignment * (along - (along @ toward) * toward) / length
        return gradient


def preference_of(num_tasks: int, preference: Sequence[float] | None) -> Tensor:
    """Return a preference (T,); None for equal shares.

    Raises:
        ValueError: it has not one number above 0 per task.
    """
    shares = [1 / num_tasks] * num_tasks if preference is None else list(preference)
    if len(shares) != num_tasks or min(shares) <= 0:
        raise ValueError(f"preference {shares} for {num_tasks} tasks; expected a number > 0 for each")
    return torch.tensor(shares)
