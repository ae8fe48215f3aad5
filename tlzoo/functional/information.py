"""Entropies of class predictions."""

from __future__ import annotations

from torch import Tensor

__all__ = ["entropy", "information_maximization"]


def entropy(logits: Tensor) -> Tensor:
    """Return the (B,) entropies, in nats, of the softmax of logits (B, C).

    >>> import torch
    >>> round(entropy(torch.zeros(1, 4)).exp().item(), 4)
    4.0
    """
    log_probabilities = logits.log_softmax(dim=-1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)


def information_maximization(logits: Tensor) -> Tensor:
    """Return the mean entropy minus the entropy of the mean prediction of logits (B, C), in nats.

    Lowest where predictions are certain and diverse; the loss of SHOT (Liang et al., ICML 2020),
    https://arxiv.org/abs/2002.08546.
    """
    mean = logits.softmax(dim=-1).mean(dim=0)
    marginal = -(mean * mean.clamp_min(1e-38).log()).sum()
    return entropy(logits).mean() - marginal
