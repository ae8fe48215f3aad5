"""The network that distinguishes domains."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts
from tlzoo.functional.precision import at_least_float32

__all__ = ["DomainDiscriminator", "domain_loss", "domain_losses"]


class DomainDiscriminator(nn.Sequential):
    """Two hidden layers with batch normalization, one output: the logit of "source".

    One output with a sigmoid, never with a softmax (which would be constant 1, with gradient 0). Batch normalization
    sees both domains together.

    Args:
        num_inputs: width of the inputs.
        hidden: width of the hidden layers.

    >>> DomainDiscriminator(4, hidden=8)(torch.zeros(3, 4)).shape
    torch.Size([3, 1])
    """

    def __init__(self, num_inputs: int, hidden: int = 1024) -> None:
        check_counts(num_inputs=num_inputs, hidden=hidden)
        super().__init__(
            nn.Linear(num_inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )


def domain_losses(logits: Tensor, num_source: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cross-entropies of source (N,) and target (M,) examples, and the discriminator's accuracy.

    Args:
        logits: (N + M, 1) logits of "source"; the first ``num_source`` rows are the source.
        num_source: N.

    Raises:
        ValueError: the logits are not (N + M, 1), or a side is empty.
    """
    if logits.ndim != 2 or logits.shape[1] != 1 or not 0 < num_source < len(logits):
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} with {num_source} source rows; expected (N + M, 1), N and M > 0"
        )
    logits = at_least_float32(logits)
    ours, theirs = logits[:num_source, 0], logits[num_source:, 0]
    with torch.no_grad():
        accuracy = 0.5 * ((ours > 0).float().mean() + (theirs <= 0).float().mean())
    return F.softplus(-ours), F.softplus(theirs), accuracy


def domain_loss(logits: Tensor, num_source: int, weights: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Return the discriminator's loss, the mean cross-entropy, and its accuracy.

    Without weights, each domain counts one half, whatever its size.

    Args:
        logits: (N + M, 1) logits of "source"; the first ``num_source`` rows are the source.
        num_source: N.
        weights: (N,) and (M,) weights of the examples, without gradient, for a weighted mean over all examples; if they
            sum to 1 in each domain, both domains count one half.

    Raises:
        ValueError: the logits are not (N + M, 1), or a side is empty.

    >>> loss, accuracy = domain_loss(torch.tensor([[9.0], [-9.0]]), 1)
    >>> accuracy.item()
    1.0
    """
    source, target, accuracy = domain_losses(logits, num_source)
    if weights is None:
        return 0.5 * (source.mean() + target.mean()), accuracy
    total = (weights[0].sum() + weights[1].sum()).detach()
    return ((weights[0] * source).sum() + (weights[1] * target).sum()) / total, accuracy
