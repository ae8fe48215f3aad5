"""Entropies of class predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.precision import at_least_float32

__all__ = ["divergence", "entropy", "information_maximization"]


def entropy(logits: Tensor) -> Tensor:
    r"""Return the (B,) entropies, in nats, of the softmax of logits (B, C).

    .. math:: H(p) = -\sum_c p_c \log p_c

    >>> round(entropy(torch.zeros(1, 4)).exp().item(), 4)
    4.0
    """
    log_probabilities = at_least_float32(logits).log_softmax(dim=-1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)


def divergence(first: Tensor, second: Tensor) -> Tensor:
    r"""Return the (B,) Kullback-Leibler divergences, in nats, of softmax(first) from softmax(second).

    .. math:: \mathrm{KL}(p \parallel q) = \sum_c p_c \log \frac{p_c}{q_c}

    Args:
        first: (B, C) logits of p.
        second: (B, C) logits of q.

    Raises:
        ValueError: the shapes differ.

    >>> divergence(torch.tensor([[50.0, 0.0]]), torch.zeros(1, 2)).exp().round(decimals=3).item()
    2.0
    """
    if first.shape != second.shape:
        raise ValueError(f"logits of shapes {tuple(first.shape)} and {tuple(second.shape)}; expected (B, C) of both")
    ours, theirs = (at_least_float32(logits).log_softmax(dim=-1) for logits in (first, second))
    return (ours.exp() * (ours - theirs)).sum(dim=-1)


def information_maximization(logits: Tensor) -> Tensor:
    r"""Return the mean entropy minus the entropy of the mean prediction of logits (B, C), in nats.

    .. math:: \frac{1}{B} \sum_i H(p_i) - H(\frac{1}{B} \sum_i p_i)

    It is lowest when predictions are certain and diverse. SHOT minimizes it (Liang et al., ICML 2020),
    https://arxiv.org/abs/2002.08546.

    Raises:
        ValueError: the batch is empty.

    >>> certain_and_diverse = 100 * torch.eye(2)
    >>> round(information_maximization(certain_and_diverse).neg().exp().item(), 4)
    2.0
    """
    if not len(logits):
        raise ValueError("an empty batch has no mean prediction; expected one row of logits or more")
    mean = at_least_float32(logits).softmax(dim=-1).mean(dim=0)
    marginal = -(mean * mean.clamp_min(torch.finfo(mean.dtype).tiny).log()).sum()  # 0 log 0 = 0
    return entropy(logits).mean() - marginal
