"""GradVac: bring gradients to their usual similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_shares
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["GradVac"]

_MOST_ALIKE = 1 - 1e-4
"""The largest target: no finite multiple of a gradient brings the cosine with it to 1."""


class GradVac(GramianWeighting):
    r"""Gradient vaccine (Wang et al., ICLR 2021), https://arxiv.org/abs/2010.05874.

    The moving average of each pair's cosine is a target :math:`\hat\phi`. If the cosine phi of the (changed) gradient
    i with gradient j is below it, i moves toward j until the cosine reaches it:

    .. math::

        g_i \leftarrow g_i + \frac{\lVert g_i \rVert \left( \hat\phi \sqrt{1 - \phi^2}
        - \phi \sqrt{1 - \hat\phi^2} \right)}{\lVert g_j \rVert \sqrt{1 - \hat\phi^2}} \, g_j

    The results are summed. Targets start at 0, so the first step equals PCGrad.

    Differs from the paper: each pair has one target for the whole shared network; the paper keeps one per layer.
    Targets are at most 0.9999, as no finite multiple of a gradient brings the cosine with it to 1.

    Args:
        num_tasks: T.
        beta: factor of the moving average: target <- (1 - beta) target + beta cosine.

    >>> import torch
    >>> GradVac(2).weights(torch.ones(2), torch.tensor([[1.0, -0.5], [-0.5, 1.0]]))
    tensor([1.5000, 1.5000])
    """

    paper = Paper(
        title="Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models",
        authors=("Wang", "Tsvetkov", "Firat", "Cao"),
        venue="ICLR",
        year=2021,
        arxiv="2010.05874",
    )
    revision = 2

    def __init__(self, num_tasks: int, *, beta: float = 0.01) -> None:
        super().__init__(num_tasks)
        check_shares(beta=beta)
        self.beta = beta
        self.random = RandomStream()
        self.register_buffer("targets", torch.zeros(num_tasks, num_tasks, dtype=torch.float64))

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the summed weights of the changed gradients, and update the targets."""
        targets, generator = self.get_buffer("targets"), self.random.next()
        total = torch.zeros_like(gramian[0])
        for place, task in enumerate(tasks.tolist()):
            mixed = torch.eye(len(gramian), dtype=gramian.dtype)[place]
            for other in torch.randperm(len(gramian), generator=generator).tolist():
                if other != place:
                    pair = (task, int(tasks[other]))
                    mixed = self._vaccinated(mixed, other, gramian, targets, pair)
            total = total + mixed
        return total

    def _vaccinated(self, mixed: Tensor, other: int, gramian: Tensor, targets: Tensor, pair: tuple[int, int]) -> Tensor:
        length = (mixed @ gramian @ mixed).clamp_min(0).sqrt()
        other_length = gramian[other, other].clamp_min(0).sqrt()
        if float(length * other_length) == 0:
            return mixed
        cosine = (mixed @ gramian[other] / (length * other_length)).clamp(-1, 1)
        target = targets[pair].clamp_max(_MOST_ALIKE).to(cosine)
        targets[pair] = (1 - self.beta) * target + self.beta * cosine
        if cosine >= target:
            return mixed
        sine, target_sine = (1 - cosine**2).sqrt(), (1 - target**2).sqrt()
        added = length * (target * sine - cosine * target_sine) / (other_length * target_sine)
        unit = torch.eye(len(gramian), dtype=gramian.dtype)[other]
        return mixed + added * unit
