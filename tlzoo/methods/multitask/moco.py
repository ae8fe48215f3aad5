"""MoCo: averages of gradients over steps, whose weights follow a slower descent."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import project_on_simplex
from tlzoo.functional.checks import check_at_least, check_choice, check_flags, check_positive, check_shares
from tlzoo.methods.multitask.jacobian import JacobianWeighting
from tlzoo.paper import Paper

__all__ = ["MoCo"]

_EPSILON = 1e-8


class MoCo(JacobianWeighting):
    r"""Multi-objective gradient correction (Fernando et al., ICLR 2023), https://openreview.net/forum?id=dLAYGdKTi2.

    The gradients of the tasks are averaged over steps, and the weights take a step towards their shortest combination:

    .. math::

        y_i \leftarrow y_i - \beta_k (y_i - g_i), \qquad
        \lambda \leftarrow \Pi( \lambda - \gamma_k (Y Y^\top + \rho I) \lambda ), \qquad d = Y^\top \lambda

    with :math:`\beta_k = \beta / k^{\sigma_\beta}` and :math:`\gamma_k = \gamma / k^{\sigma_\gamma}` at step k. The
    defaults are those of the authors' code in LibMTL, which divides gradients by their lengths and multiplies them by
    their losses, and maps to the simplex by a softmax; ``scaled=False, onto="projection"`` is the paper's update.

    Differs from the paper: at shared features (``space="features"``), which belong to other examples at every step,
    there is nothing to average; the authors' code has no such variant. A task without labels in a batch keeps its
    average.

    Args:
        num_tasks: T.
        beta: step size of the averages, in (0, 1].
        beta_decay: power of the step by which it falls.
        gamma: step size of the weights.
        gamma_decay: power of the step by which it falls.
        rho: weight of the squared length of lambda.
        scaled: divide gradients by their lengths and multiply them by their losses.
        onto: how weights come to the simplex, ``"softmax"`` or ``"projection"``.

    >>> MoCo(2, scaled=False, onto="projection").direction(torch.eye(2))
    tensor([0.2500, 0.2500])
    """

    paper = Paper(
        title="Mitigating Gradient Bias in Multi-objective Learning: A Provably Convergent Approach",
        authors=("Fernando", "Shen", "Liu", "Chaudhury", "Murugesan", "Chen"),
        venue="ICLR",
        year=2023,
        page="https://openreview.net/forum?id=dLAYGdKTi2",
    )
    variants = ({}, {"scaled": False, "onto": "projection"})

    def __init__(
        self,
        num_tasks: int,
        *,
        beta: float = 0.5,
        beta_decay: float = 0.5,
        gamma: float = 0.1,
        gamma_decay: float = 0.5,
        rho: float = 0.0,
        scaled: bool = True,
        onto: str = "softmax",
    ) -> None:
        super().__init__(num_tasks)
        check_shares(above_zero=True, beta=beta)
        check_positive(gamma=gamma)
        check_at_least(0, beta_decay=beta_decay, gamma_decay=gamma_decay, rho=rho)
        check_flags(scaled=scaled)
        check_choice(onto, ("softmax", "projection"), what="onto")
        self.beta, self.beta_decay, self.gamma, self.gamma_decay = beta, beta_decay, gamma, gamma_decay
        self.rho, self.scaled, self.onto = rho, scaled, onto
        self.reserve("averages", num_tasks, 0)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("lambdas", torch.full((num_tasks,), 1 / num_tasks))

    @torch.no_grad()
    def combine(self, jacobian: Tensor) -> Tensor:
        """Update averages and weights, and return the weighted sum of the averages.

        Raises:
            ValueError: gradients are scaled by losses, and there are none.
        """
        step = int(self.get_buffer("steps").add_(1))
        if self.scaled:
            if self.losses is None:
                raise ValueError(
                    "MoCo scales gradients by losses; give direction(jacobian, losses=...), or scaled=False"
                )
            lengths = jacobian.norm(dim=1) + _EPSILON
            jacobian = jacobian * (self.losses.to(jacobian) / lengths)[:, None]
        averages = jacobian if self.features else self._averaged(jacobian, self.beta / step**self.beta_decay)
        lambdas = self.get_buffer("lambdas")
        known = lambdas.to(averages)
        slope = averages @ (averages.T @ known) + self.rho * known
        moved = known - self.gamma / step**self.gamma_decay * slope
        lambdas.copy_(moved.softmax(dim=0) if self.onto == "softmax" else project_on_simplex(moved))
        direction: Tensor = lambdas.to(averages) @ averages
        return direction

    def _averaged(self, jacobian: Tensor, share: float) -> Tensor:
        """Return the averages with ``share`` of the rows of J (T, P); tasks without labels keep theirs."""
        averages = self.widened("averages", jacobian)
        rows = torch.ones(self.num_tasks, dtype=torch.bool) if self.present is None else self.present
        new = torch.where(rows.to(averages.device)[:, None], averages.lerp(jacobian, share), averages)
        return averages.copy_(new)
