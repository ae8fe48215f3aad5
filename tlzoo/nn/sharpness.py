"""Weights a step up the gradient of a loss, as sharpness-aware minimization needs them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["uphill"]


def uphill(loss: Tensor, parameters: Mapping[str, Tensor], radius: float) -> dict[str, Tensor]:
    r"""Return the parameters ``radius`` up the gradient of a loss (Foret et al., ICLR 2021).

    .. math:: \theta + \rho \, \nabla L(\theta) / \lVert \nabla L(\theta) \rVert

    with one norm for all of them and the step held constant: gradients at the new weights reach the parameters as they
    are. Source: https://arxiv.org/abs/2010.01412.

    Args:
        loss: a scalar with a graph, which is kept.
        parameters: the weights by name; those that the loss does not depend on stay.
        radius: rho.

    >>> weight = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> uphill(weight.square().sum(), {"weight": weight}, 0.5)["weight"].tolist()
    [3.299999952316284, 4.400000095367432]
    """
    wanted = list(parameters.values())
    gradients = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True)
    length = torch.stack([gradient.norm() for gradient in gradients]).norm().clamp_min(1e-12)
    return {
        name: parameter + (radius * gradient / length).detach()
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
    }
