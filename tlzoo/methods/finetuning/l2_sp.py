"""L2-SP: pull the weights toward their pretrained values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["L2SP"]


class L2SP(Strategy):
    r"""Explicit inductive bias (Li, Grandvalet & Davoine, ICML 2018), https://arxiv.org/abs/1802.01483.

    .. math:: \frac{\alpha}{2} \lVert w - w_0 \rVert^2 + \frac{\beta}{2} \lVert v \rVert^2

    with the weights w of the backbone, their pretrained values :math:`w_0`, and the weights v of the new head. Use it
    without weight decay on the same parameters.

    Args:
        alpha: pull toward the starting point.
        beta: weight decay of the head.
    """

    label = "L2-SP"
    paper = Paper(
        title="Explicit Inductive Bias for Transfer Learning with Convolutional Networks",
        authors=("Li", "Grandvalet", "Davoine"),
        venue="ICML",
        year=2018,
        arxiv="1802.01483",
    )

    def __init__(self, *, alpha: float = 0.1, beta: float = 0.01) -> None:
        super().__init__()
        check_at_least(0, alpha=alpha, beta=beta)
        self.alpha, self.beta = alpha, beta

    def prepare(self, backbone: Backbone) -> Backbone:
        """Store the weights of ``backbone`` as the starting point."""
        for name in dict(self.named_buffers()):
            delattr(self, name)
        for place, parameter in enumerate(backbone.parameters()):
            self.register_buffer(f"start_{place}", parameter.detach().clone())
        return backbone

    def regularizer(self, backbone: Backbone, head: nn.Module) -> Tensor:
        """Return the scalar penalty.

        Raises:
            RuntimeError: ``prepare`` has not been called for this backbone.
        """
        weights, starts = list(backbone.parameters()), list(self.buffers())
        if [weight.shape for weight in weights] != [start.shape for start in starts]:
            raise RuntimeError(f"the starting point of {backbone.name} is not known; call prepare(backbone) first")
        pulls = [(weight - start).square().sum() for weight, start in zip(weights, starts, strict=True)]
        sizes = [weight.square().sum() for weight in head.parameters()]
        return self.alpha / 2 * _total(pulls) + self.beta / 2 * _total(sizes)


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros(())
