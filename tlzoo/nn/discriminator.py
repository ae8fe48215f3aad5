"""The network that tells domains apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DomainDiscriminator", "domain_loss"]


class DomainDiscriminator(nn.Sequential):
    """Two hidden layers with batch normalization, one output: the logit of "source".

    One output with a sigmoid, never with a softmax (which would be constant 1, with gradient 0).

    Args:
        num_inputs: width of what it sees.
        hidden: width of the hidden layers.
    """

    def __init__(self, num_inputs: int, hidden: int = 1024) -> None:
        super().__init__(
            nn.Linear(num_inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )


def domain_loss(
    logits: Tensor, num_source: int, weights: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the discriminator's loss and its accuracy, each domain counting one half.

    Args:
        logits: (N + M, 1) logits of "source"; the first ``num_source`` rows are the source.
        num_source: N.
        weights: (N,) and (M,) weights of the examples, used as weighted sums divided by their own totals.
    """
    logits = logits.squeeze(1)
    source, target = F.softplus(-logits[:num_source]), F.softplus(logits[num_source:])
    if weights is None:
        loss = 0.5 * (source.mean() + target.mean())
    else:
        total_source, total_target = (w.sum() for w in weights)
        loss = 0.5 * ((weights[0] * source).sum() / total_source + (weights[1] * target).sum() / total_target)
    with torch.no_grad():
        correct = 0.5 * ((logits[:num_source] > 0).float().mean() + (logits[num_source:] <= 0).float().mean())
    return loss, correct
