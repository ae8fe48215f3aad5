"""Merging networks by statistics of their data: Fisher information, or the inputs of linear layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_at_least, check_shares
from tlzoo.functional.merging import average_weights, check_same

__all__ = ["fisher_merge", "reg_mean"]

Weights = Mapping[str, Tensor]

_RIDGE = 1e-9


def fisher_merge(
    states: Sequence[Weights], fishers: Sequence[Weights], *, floor: float = 1e-6, normalize: bool = True
) -> dict[str, Tensor]:
    r"""Return the Fisher-weighted average (Matena & Raffel, NeurIPS 2022), https://arxiv.org/abs/2111.09832.

    .. math:: \theta_j = \frac{\sum_t F_{t,j} \theta_{t,j}}{\sum_t F_{t,j}}

    Args:
        states: weights of networks that were fine-tuned from one start.
        fishers: the diagonal of each network's Fisher information, by the names of the weights. Weights without an
            entry are averaged.
        floor: least entry of a diagonal.
        normalize: divide each network's floored diagonal by the Euclidean norm of the diagonal.

    Raises:
        ValueError: there are no networks, or they differ in names or shapes, as those of the diagonals do.

    >>> one, two = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    >>> fisher_merge([one, two], [{"w": torch.tensor([1.0, 3.0])}, {"w": torch.tensor([3.0, 1.0])}])
    {'w': tensor([0.7500, 0.2500])}
    """
    check_at_least(0, floor=floor)
    merged = average_weights(states)
    _check_statistics(states, fishers)
    check_same(fishers)
    norms = [torch.stack([value.square().sum() for value in each.values()]).sum().sqrt() for each in fishers]
    for name in fishers[0]:
        _check_known(name, merged)
        scales = [norm.clamp_min(torch.finfo(norm.dtype).tiny) if normalize else 1.0 for norm in norms]
        weights = [fisher[name].clamp_min(floor) / scale for fisher, scale in zip(fishers, scales, strict=True)]
        total = torch.stack(weights).sum(dim=0)
        moved = torch.stack([weight * state[name] for weight, state in zip(weights, states, strict=True)]).sum(dim=0)
        merged[name] = torch.where(total > 0, moved / total.where(total > 0, 1), merged[name])
    return merged


def reg_mean(states: Sequence[Weights], grams: Sequence[Weights], *, shrink: float = 0.9) -> dict[str, Tensor]:
    r"""Return the regression mean (Jin et al., ICLR 2023), https://arxiv.org/abs/2212.09849.

    .. math:: W = \left(\sum_t \tilde G_t\right)^{-1} \sum_t \tilde G_t W_t, \qquad
        \tilde G_t = \alpha X_t^\top X_t + (1 - \alpha) \operatorname{diag}(X_t^\top X_t)

    for linear layers with weights W (inputs x outputs), whose inputs are :math:`X_t` in the network of task t; it is
    the closest layer to the outputs of all networks. All other weights are averaged, and so is what the Gram matrices
    do not determine, such as the weights of an input that is always zero.

    Args:
        states: weights of networks that were fine-tuned from one start.
        grams: for each network, Gram matrices (g, d, d) of the inputs of layers, by the names of their weights. A
            weight is (outputs, ...) with d entries an output; its outputs belong to g groups of equal size, which have
            inputs of their own. Linear layers have g = 1; g is 1 as well if the matrix is (d, d).
        shrink: alpha, in [0, 1].

    Raises:
        ValueError: there are no networks, or they differ in names or shapes, or those of the Gram matrices do not fit.
    """
    check_shares(shrink=shrink)
    merged = average_weights(states)
    _check_statistics(states, grams)
    check_same(grams)
    for name, gram in grams[0].items():
        _check_known(name, merged)
        mean, size, groups = merged[name], gram.shape[-1], 1 if gram.ndim == 2 else len(gram)
        if gram.ndim not in (2, 3) or gram.shape[-2] != size or mean.numel() != mean.shape[0] * size:
            raise InputError(
                f"the Gram matrix of {name} has shape {tuple(gram.shape)} and the weight {tuple(mean.shape)}; expected "
                f"one of {mean[0].numel()} inputs"
            )
        own = [_shrunk(each[name].double().reshape(groups, size, size), shrink) for each in grams]
        changes = [(state[name] - mean).double().reshape(groups, -1, size).mT for state in states]
        total = torch.stack(own).sum(dim=0)
        ridge = _RIDGE * total.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None].clamp_min(torch.finfo(torch.float64).tiny)
        moved = torch.stack([matrix @ change for matrix, change in zip(own, changes, strict=True)]).sum(dim=0)
        solved = torch.linalg.solve(total + torch.diag_embed(ridge.expand(-1, size)), moved)
        merged[name] = mean + solved.mT.reshape(mean.shape).to(mean)
    return merged


def _shrunk(grams: Tensor, shrink: float) -> Tensor:
    return shrink * grams + (1 - shrink) * torch.diag_embed(grams.diagonal(dim1=1, dim2=2))


def _check_statistics(states: Sequence[Weights], statistics: Sequence[Weights]) -> None:
    if len(states) != len(statistics):
        raise InputError(f"statistics of {len(statistics)} networks for weights of {len(states)}; expected one of each")


def _check_known(name: str, weights: Weights) -> None:
    if name not in weights:
        raise InputError(f"statistics of {name}, which the networks do not have; they have {', '.join(weights)}")
