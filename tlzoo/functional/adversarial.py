"""Gradient reversal, and the conditioning of a discriminator on class predictions."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice

__all__ = ["entropy_weights", "gradient_reversal", "multilinear_map", "reversal_coefficient"]


class _Reversal(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, coefficient: float) -> Tensor:  # noqa: ARG004 - torch's signature
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:  # noqa: ARG004
        ctx.coefficient = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * gradients[0], None


def gradient_reversal(x: Tensor, coefficient: float = 1.0) -> Tensor:
    """Return ``x``; its gradient is multiplied by ``-coefficient`` (Ganin & Lempitsky, ICML 2015).

    Source: https://arxiv.org/abs/1409.7495.

    >>> x = torch.ones(1, requires_grad=True)
    >>> gradient_reversal(x, 0.5).backward()
    >>> x.grad.item()
    -0.5
    """
    result: Tensor = _Reversal.apply(x, coefficient)
    return result


def reversal_coefficient(progress: float, *, gamma: float = 10.0) -> float:
    r"""Return the factor of the reversal at training progress p in [0, 1] (Ganin & Lempitsky, ICML 2015).

    .. math:: \lambda(p) = \frac{2}{1 + e^{-\gamma p}} - 1

    >>> reversal_coefficient(0.0)
    0.0
    """
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


def multilinear_map(features: Tensor, probabilities: Tensor) -> Tensor:
    """Return the outer products of probabilities (B, C) and features (B, D) as (B, C * D), class-major.

    CDAN conditions its discriminator on them (Long et al., NeurIPS 2018), https://arxiv.org/abs/1705.10667.

    Raises:
        ValueError: the inputs are not two matrices with the same number of rows.

    >>> multilinear_map(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.75]])).tolist()
    [[0.25, 0.5, 0.75, 1.5]]
    """
    if features.ndim != 2 or probabilities.ndim != 2 or len(features) != len(probabilities):
        raise ValueError(
            f"features and probabilities have shapes {tuple(features.shape)} and {tuple(probabilities.shape)}; "
            "expected (B, D) and (B, C)"
        )
    return (probabilities.unsqueeze(2) * features.unsqueeze(1)).flatten(1)


def entropy_weights(
    source_entropy: Tensor,
    target_entropy: Tensor,
    *,
    normalization: Literal["per_domain", "joint"] = "per_domain",
) -> tuple[Tensor, Tensor]:
    r"""Return the entropy weights of CDAN+E for source (N,) and target (M,) examples.

    .. math:: w(x) \propto 1 + e^{-H(x)}

    The sums that they are divided by are detached; the entropies are not, so detach or reverse them.

    Args:
        source_entropy: (N,) entropies in nats.
        target_entropy: (M,).
        normalization: ``"per_domain"``: each domain's weights sum to 1 (the authors' code); ``"joint"``: all weights
            together sum to N + M (the mean is 1).

    Raises:
        ValueError: a side is empty, or the normalization is unknown.

    >>> ours, theirs = entropy_weights(torch.zeros(2), torch.ones(4))
    >>> ours.tolist(), round(theirs.sum().item(), 6)
    ([0.5, 0.5], 1.0)
    """
    check_choice(normalization, ("per_domain", "joint"), what="normalization")
    if not len(source_entropy) or not len(target_entropy):
        raise ValueError(
            f"{len(source_entropy)} source and {len(target_entropy)} target examples; expected one or more a side"
        )
    source = 1.0 + torch.exp(-source_entropy)
    target = 1.0 + torch.exp(-target_entropy)
    if normalization == "per_domain":
        return source / source.sum().detach(), target / target.sum().detach()
    factor = (len(source) + len(target)) / (source.sum() + target.sum()).detach()
    return source * factor, target * factor
