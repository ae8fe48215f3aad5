"""Merging the weights of networks that were fine-tuned from one start: state dicts in, a state dict out.

Entries that are not of floating point (counters of batch normalization) are those of the first network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tlzoo.functional.checks import check_shares

__all__ = ["average_weights", "greedy_soup", "interpolate_weights"]

Weights = Mapping[str, Tensor]


def average_weights(states: Sequence[Weights]) -> dict[str, Tensor]:
    """Return the mean of the weights of networks: the uniform soup (Wortsman et al., ICML 2022).

    Raises:
        ValueError: there are no networks, or they differ in names or shapes.

    >>> average_weights([{"w": torch.zeros(2)}, {"w": torch.ones(2)}])
    {'w': tensor([0.5000, 0.5000])}
    """
    check_same(states)
    return {name: _mean([state[name] for state in states]) for name in states[0]}


def interpolate_weights(start: Weights, end: Weights, share: float) -> dict[str, Tensor]:
    """Return (1 - share) * start + share * end, as WiSE-FT does (Wortsman et al., CVPR 2022).

    Raises:
        ValueError: ``share`` is outside of [0, 1], or the networks differ in names or shapes.
    """
    check_shares(share=share)
    check_same([start, end])
    return {
        name: value + share * (end[name] - value) if value.is_floating_point() else value
        for name, value in start.items()
    }


def greedy_soup(states: Sequence[Weights], score: Callable[[dict[str, Tensor]], float]) -> dict[str, Tensor]:
    """Return the greedy soup (Wortsman et al., ICML 2022, recipe 1), https://arxiv.org/abs/2203.05482.

    The networks are tried from the best to the worst; one is added where the mean scores no worse than before.

    Args:
        states: weights of the networks.
        score: the score of weights on held-out data, higher is better. It must not see the test.

    Raises:
        ValueError: there are no networks, or they differ in names or shapes.
    """
    check_same(states)
    alone = [score(dict(state)) for state in states]
    order = sorted(range(len(states)), key=lambda place: -alone[place])
    soup, best = [states[order[0]]], alone[order[0]]
    for place in order[1:]:
        if (found := score(average_weights([*soup, states[place]]))) >= best:
            soup, best = [*soup, states[place]], found
    return average_weights(soup)


def check_same(states: Sequence[Weights]) -> None:
    """Check that networks have the same weights.

    Raises:
        ValueError: there are none, or they differ in names or shapes; the message names the first difference.
    """
    if not states:
        raise ValueError("no weights to merge; give the state dicts of one network or more")
    for place, state in enumerate(states[1:], start=1):
        if other := sorted(state.keys() ^ states[0].keys()):
            raise ValueError(f"networks 0 and {place} do not both have {other[0]}; merge copies of one network")
        for name, value in state.items():
            if value.shape != states[0][name].shape:
                shapes = f"{tuple(states[0][name].shape)} and {tuple(value.shape)}"
                raise ValueError(f"{name} of networks 0 and {place} has shapes {shapes}; merge copies of one network")


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(dim=0) if values[0].is_floating_point() else values[0]
