"""CMF: a Kalman filter between the source model and the adapted one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_positive, check_shares
from tlzoo.methods.adaptation.roid import ROID
from tlzoo.methods.augmenting import Augment
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper

__all__ = ["CMF"]

_UNIT = 38400
_GAINS = (0.89, 0.9999)


class CMF(ROID):
    r"""Continual momentum filtering (Lee & Chang, ICLR 2024), https://openreview.net/forum?id=BllUWdpIOA.

    Learns as ROID does. Instead of moving to the source model, hidden weights h are filtered after every step:

    .. math:: h \leftarrow \alpha h + (1 - \alpha) \theta_0, \quad v \leftarrow \alpha^2 v + q, \quad
        \beta = \frac{1 - q}{v + 1 - q}, \quad h \leftarrow \beta h + (1 - \beta) \theta, \quad v \leftarrow \beta v

    and the weights follow them: :math:`\theta \leftarrow \gamma \theta + (1 - \gamma) h`. As in the authors' code, q is
    scaled by the number of trained weights over 38,400, and beta kept in [0.89, 1].

    Differs from the paper: without ``augment`` there is no consistency between inputs and changed ones.

    Args:
        model: the source model; copied.
        lr: learning rate of Adam.
        alpha: pull of the hidden weights to the source model's, as a share that stays.
        gamma: share of the adapted weights that stays.
        noise: q.
        smoothing: of the running mean of predictions.
        temperature: of the weights of predictions.
        correct_prior: see :class:`~tlzoo.methods.adaptation.roid.ROID`.
        augment: see :class:`~tlzoo.methods.adaptation.roid.ROID`.
    """

    paper = Paper(
        title="Continual Momentum Filtering on Parameter Space for Online Test-time Adaptation",
        authors=("Lee", "Chang"),
        venue="ICLR",
        year=2024,
        page="https://openreview.net/forum?id=BllUWdpIOA",
    )
    variants = ({}, {"noise": 0.1, "gamma": 0.5, "alpha": 0.9})
    variance: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        alpha: float = 0.99,
        gamma: float = 0.99,
        noise: float = 0.005,
        smoothing: float = 0.9,
        temperature: float = 1 / 3,
        correct_prior: bool = True,
        augment: Augment | str | None = None,
    ) -> None:
        super().__init__(
            model, lr=lr, smoothing=smoothing, temperature=temperature, correct_prior=correct_prior, augment=augment
        )
        check_shares(alpha=alpha, gamma=gamma)
        check_positive(noise=noise)
        self.alpha, self.gamma, self.noise = alpha, gamma, noise
        self.hidden = Memory(**{name: value.clone() for name, value in self.source.named_buffers()})
        self.register_buffer("variance", torch.zeros(()))

    @torch.no_grad()
    def hold(self) -> None:
        """Filter the hidden weights, and move the trained ones to them."""
        noise = self.noise * sum(parameter.numel() for parameter in self.trained) / _UNIT
        spread = self.alpha**2 * float(self.variance) + noise
        gain = max((1 - noise) / (spread + 1 - noise), _GAINS[0])
        gain = gain if gain < _GAINS[1] else 1.0
        self.variance.fill_(gain * spread)
        for place, parameter in enumerate(self.trained):
            hidden = self.hidden.get_buffer(f"start{place}")
            hidden.lerp_(self.source.get_buffer(f"start{place}"), 1 - self.alpha).lerp_(parameter, 1 - gain)
            parameter.lerp_(hidden, 1 - self.gamma)

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.hidden.load_state_dict(self.source.state_dict())
        self.variance.zero_()
