"""How much a prediction changes around an input: virtual adversarial perturbations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlzoo.functional.information import divergence

__all__ = ["adversarial_direction", "unit_items", "virtual_adversarial_divergence"]


def unit_items(values: Tensor) -> Tensor:
    """Return values (B, ...) with every item scaled to unit length; an item of zeros stays zero.

    >>> unit_items(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    flat = values.flatten(1)
    largest = flat.abs().amax(dim=1, keepdim=True)  # first: squares of small numbers would vanish
    scaled = flat / largest.where(largest > 0, torch.ones_like(largest))
    length = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    unit: Tensor = scaled / length.where(length > 0, torch.ones_like(length))
    return unit.view_as(values)


def adversarial_direction(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    logits: Tensor,
    start: Tensor,
    *,
    probe: float = 0.01,
    rounds: int = 1,
) -> Tensor:
    r"""Return unit directions (B, ...) in which predictions change most, detached (Miyato et al., TPAMI 2019).

    Near x, the divergence between the predictions at x and x + d is :math:`d^\top H d / 2`. Power iteration finds the
    first eigenvector of H: each round replaces d with the direction of the gradient at ``probe`` * d. Source:
    https://arxiv.org/abs/1704.03976.

    Args:
        function: maps inputs (B, ...) to logits (B, C).
        inputs: (B, ...).
        logits: (B, C) of the unperturbed inputs.
        start: (B, ...) where to begin, for example normal noise.
        probe: distance from the inputs at which the gradient is taken. Far below 1e-3, float32 rounding dominates.
        rounds: number of power iterations.

    Raises:
        ValueError: ``start`` and the inputs differ in shape, or there are fewer than one round.
    """
    if start.shape != inputs.shape or rounds < 1:
        raise ValueError(
            f"start of shape {tuple(start.shape)}, inputs of {tuple(inputs.shape)}, {rounds} rounds; expected one "
            "shape and at least one round"
        )
    inputs, logits, direction = inputs.detach(), logits.detach(), unit_items(start)
    for _ in range(rounds):
        with torch.enable_grad():
            shift = (probe * direction).detach().requires_grad_()
            change = divergence(logits, function(inputs + shift)).sum()
            (gradient,) = torch.autograd.grad(change, shift)
        direction = unit_items(gradient).detach()
    return direction


def virtual_adversarial_divergence(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    start: Tensor,
    *,
    radius: float,
    probe: float = 0.01,
    rounds: int = 1,
) -> Tensor:
    r"""Return the (B,) terms of virtual adversarial training (Miyato et al., TPAMI 2019).

    .. math:: \mathrm{KL}\left(\mathrm{softmax} f(x) \parallel \mathrm{softmax} f(x + r)\right)

    with r of length ``radius`` in the adversarial direction and the first prediction held constant. Source:
    https://arxiv.org/abs/1704.03976.

    Args:
        function: maps inputs (B, ...) to logits (B, C).
        inputs: (B, ...).
        start: (B, ...) where the search for the direction begins, for example normal noise.
        radius: Euclidean length of r.
        probe: see :func:`adversarial_direction`.
        rounds: see :func:`adversarial_direction`.

    Raises:
        ValueError: the radius is not positive; see also :func:`adversarial_direction`.

    >>> steep = torch.tensor([[5.0, -5.0], [0.0, 0.0]])  # the prediction depends on the first input only
    >>> x, start = torch.zeros(1, 2), torch.tensor([[0.1, 1.0]])
    >>> found = adversarial_direction(lambda x: x @ steep, x, x @ steep, start)
    >>> found.abs().round(decimals=3).tolist()
    [[1.0, 0.0]]
    """
    if radius <= 0:
        raise ValueError(f"radius {radius}; expected a number > 0")
    with torch.no_grad():
        logits = function(inputs)
    direction = adversarial_direction(function, inputs, logits, start, probe=probe, rounds=rounds)
    return divergence(logits, function(inputs + radius * direction))
