"""Gradient descent on linear classifiers of few examples, in the coordinates of the examples themselves.

The weights of a classifier that starts in the span of some points Z (N, D) and is trained on them stay there,
W = Zᵀ A. A step on W needs no product with D numbers an item: inner products K = Z Zᵀ (N, N) are enough, and many
episodes take a step at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

__all__ = ["adamw", "cosine_schedule", "cosine_step", "descend"]

Step = Callable[[Tensor, Tensor], Tensor]
Gradients = Callable[[list[Tensor]], list[Tensor]]


def descend(kernel: Tensor, start: Tensor, step: Step, rates: Iterable[float], *, momentum: float = 0.9) -> Tensor:
    """Return coefficients (E, N, C) after gradient descent with momentum on the weights that they stand for.

    Args:
        kernel: inner products (E, N, N) of the points.
        start: coefficients (E, N, C).
        step: maps coefficients A and the scores K A (E, N, C) to the coefficients of the gradient.
        rates: the learning rate of each step.
        momentum: of torch.optim.SGD.
    """
    coefficients, velocity = start, torch.zeros_like(start)
    for rate in rates:
        velocity = momentum * velocity + step(coefficients, kernel @ coefficients)
        coefficients = coefficients - rate * velocity
    return coefficients


def adamw(
    start: list[Tensor],
    gradients: Gradients,
    rates: Iterable[float],
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.01,
) -> list[Tensor]:
    """Return what AdamW (torch.optim.AdamW) makes of parameters, whose steps can be differentiated.

    Steps that nobody differentiates are taken in place: memory is what large parameters wait for.

    Args:
        start: the parameters; with a leading dimension of episodes, each takes the steps that it would take alone.
        gradients: maps parameters to the gradients of the loss.
        rates: the learning rate of each step.
        betas: of the moments.
        eps: added to the root of the second moment.
        decay: decoupled weight decay.
    """
    values = [each.clone(memory_format=torch.contiguous_format) for each in start]
    firsts, seconds = [torch.zeros_like(each) for each in values], [torch.zeros_like(each) for each in values]
    for step, rate in enumerate(rates, start=1):
        root = (1 - betas[1] ** step) ** 0.5
        length = rate * root / (1 - betas[0] ** step)
        for place, gradient in enumerate(gradients(values)):
            value, first, second = values[place], firsts[place], seconds[place]
            if value.requires_grad or gradient.requires_grad:
                first = first.lerp(gradient, 1 - betas[0])
                second = (betas[1] * second).addcmul(gradient, gradient, value=1 - betas[1])
                size = second.clamp_min(torch.finfo(second.dtype).tiny).sqrt()  # the root has no gradient at zero
                value = ((1 - rate * decay) * value).addcdiv(first, size + eps * root, value=-length)
                values[place], firsts[place], seconds[place] = value, first, second
            else:
                first.lerp_(gradient, 1 - betas[0])
                second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
                value.mul_(1 - rate * decay).addcdiv_(first, second.sqrt().add_(eps * root), value=-length)
    return values


def cosine_step(coefficients: Tensor, scores: Tensor, targets: Tensor, shares: Tensor, *, scale: float) -> Tensor:
    r"""Return the gradient of the cross-entropy of a cosine classifier, as coefficients (E, N, C).

    .. math:: \sum_i s_i \, \mathrm{CE}\left(\tau \frac{z_i^\top w}{\lVert w \rVert}, y_i\right)

    Args:
        coefficients: A (E, N, C) of the weights.
        scores: K A (E, N, C).
        targets: one-hot labels (E, N, C) of the points.
        shares: s (E, N, 1), zero for points that are not trained on.
        scale: tau.
    """
    norms = (coefficients * scores).sum(dim=1, keepdim=True).clamp_min(1e-12).sqrt()
    wrong = scale * shares * ((scale * scores / norms).softmax(dim=-1) - targets)
    along = (wrong * scores).sum(dim=1, keepdim=True) / norms**3
    return wrong / norms - coefficients * along


def cosine_schedule(rate: float, steps: int, *, warmup: float | None = None, length: float = 1.0) -> list[float]:
    """Return the rates of a cosine decay over ``steps``.

    Args:
        rate: of the first step.
        steps: number of steps.
        warmup: the first rate, instead of ``rate``.
        length: for weights that are meant to be this many times as long: their rates, for the gradient of short ones.

    >>> [round(each, 3) for each in cosine_schedule(1.0, 4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    rates = [rate * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    rates = rates if warmup is None else [warmup, *rates[1:]]
    return [each / length**2 for each in rates]
