"""STCH: a smooth maximum of the losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["STCH"]

_LEAST = 1e-8


class STCH(Weighting):
    r"""Smooth Tchebycheff scalarization (Lin et al., ICML 2024), https://arxiv.org/abs/2402.19078.

    .. math:: \mu \log \sum_i \exp \frac{\lambda_i (L_i - z_i)}{\mu}

    Its gradient weights the losses by lambda times the softmax of the exponents; with small mu only the worst task
    counts.

    The paper's multitask experiments take :math:`\log(L_i / L_i^0)` for the losses, with a warm-up's losses
    :math:`L^0` and lambda = 1, and T times the total: ``logarithm=True``. The weights are then T lambda / L times the
    softmax.

    Differs from the paper: :math:`L^0` are the mean losses of the first epoch, during which the weights are 1 / L. The
    authors' warm-up takes several epochs, and means of the last.

    Args:
        num_tasks: T.
        mu: smoothing, > 0.
        preference: lambda, T numbers > 0; None for 1 / T each, and 1 each under ``logarithm``.
        ideal: z, T numbers; None for zeros.
        logarithm: take logarithms of the losses over those of the first epoch.

    >>> STCH(2).weights(torch.tensor([1.0, 1.0]))
    tensor([0.2500, 0.2500])
    """

    paper = Paper(
        title="Smooth Tchebycheff Scalarization for Multi-Objective Optimization",
        authors=("Lin", "Zhang", "Yang", "Liu", "Wang", "Zhang"),
        venue="ICML",
        year=2024,
        arxiv="2402.19078",
    )
    revision = 2
    variants = ({}, {"mu": 0.1}, {"logarithm": True})

    def __init__(
        self,
        num_tasks: int,
        *,
        mu: float = 1.0,
        preference: Sequence[float] | None = None,
        ideal: Sequence[float] | None = None,
        logarithm: bool = False,
    ) -> None:
        super().__init__(num_tasks)
        preference = [1.0 if logarithm else 1 / num_tasks] * num_tasks if preference is None else preference
        ideal = [0.0] * num_tasks if ideal is None else ideal
        if mu <= 0 or len(preference) != num_tasks or len(ideal) != num_tasks or min(preference) <= 0:
            raise ValueError(
                f"mu {mu}, preference {list(preference)} and ideal {list(ideal)} for {num_tasks} tasks; expected "
                "mu > 0, and per task one number > 0 and one number"
            )
        self.mu, self.logarithm = mu, logarithm
        self.register_buffer("preference", torch.tensor(preference))
        self.register_buffer("ideal", torch.tensor(ideal))
        self.register_buffer("first_epoch", torch.full((num_tasks,), torch.nan))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return lambda times the softmax, among the tasks with labels."""
        losses, factors = losses.detach(), torch.ones_like(losses)
        preference, ideal, first = (self.get_buffer(name).to(losses) for name in ("preference", "ideal", "first_epoch"))
        if self.logarithm:
            factors = losses.clamp_min(_LEAST).reciprocal()
            if bool(first.isnan().any()):
                return self.those_present(factors)
            factors = self.num_tasks * factors
            losses = (losses.clamp_min(_LEAST) / first).log()
        scores = preference * (losses - ideal) / self.mu
        if self.present is not None:
            scores = scores.masked_fill(~self.present, -torch.inf)
        return preference * scores.softmax(dim=0) * factors

    def on_epoch(self, mean_losses: Tensor) -> None:
        """Store the mean losses (T,) of the first epoch."""
        first = self.get_buffer("first_epoch")
        if bool(first.isnan().any()):
            first.copy_(mean_losses.detach().clamp_min(_LEAST))
