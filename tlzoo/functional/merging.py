"""Merging the weights of networks that were fine-tuned from one start: state dicts in, a state dict out.

Entries that are not of floating point (counters of batch normalization) are those of the first network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tlzoo.functional.checks import check_shares

__all__ = ["average_weights", "dare", "greedy_soup", "interpolate_weights", "task_arithmetic", "ties"]

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


def task_arithmetic(start: Weights, states: Sequence[Weights], *, scale: float = 0.3) -> dict[str, Tensor]:
    r"""Return the start moved by all tasks' changes (Ilharco et al., ICLR 2023), https://arxiv.org/abs/2212.04089.

    .. math:: \theta_0 + \lambda \sum_t (\theta_t - \theta_0)

    Args:
        start: weights before fine-tuning.
        states: weights after it, one of each task.
        scale: lambda; negative to forget.

    Raises:
        ValueError: there are no networks, or they differ in names or shapes.
    """
    return _with_vectors(start, states, lambda vectors: scale * vectors.sum(dim=0))


def ties(start: Weights, states: Sequence[Weights], *, keep: float = 0.2, scale: float = 1.0) -> dict[str, Tensor]:
    """Return the TIES merger (Yadav et al., NeurIPS 2023), https://arxiv.org/abs/2306.01708.

    Each task's changes are trimmed to their largest ``keep`` in absolute value, over the whole network; each weight
    takes the sign whose changes weigh more, and the mean of the changes that are left and have it, times ``scale``.

    Args:
        start: weights before fine-tuning.
        states: weights after it, one of each task.
        keep: share of the changes that are kept.
        scale: lambda.

    Raises:
        ValueError: there are no networks, or they differ in names or shapes; or ``keep`` is outside of (0, 1].
    """
    check_shares(above_zero=True, keep=keep)

    def merged(vectors: Tensor) -> Tensor:
        count = vectors.shape[1]
        kept = max(round(keep * count), 1)
        least = vectors.abs().kthvalue(count - kept + 1, dim=1, keepdim=True).values
        trimmed = torch.where(vectors.abs() >= least, vectors, 0)
        agrees = (trimmed.sign() == trimmed.sum(dim=0).sign()) & (trimmed != 0)
        return scale * (trimmed * agrees).sum(dim=0) / agrees.sum(dim=0).clamp_min(1)

    return _with_vectors(start, states, merged)


def dare(
    start: Weights, states: Sequence[Weights], *, drop: float = 0.9, scale: float = 0.3, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return task arithmetic after dropping and rescaling (Yu et al., ICML 2024), https://arxiv.org/abs/2311.03099.

    Each change is dropped with probability ``drop``, and those that are left are divided by 1 - ``drop``.

    Args:
        start: weights before fine-tuning.
        states: weights after it, one of each task.
        drop: probability, below 1.
        scale: lambda of :func:`task_arithmetic`.
        generator: says which are dropped.

    Raises:
        ValueError: there are no networks, or they differ in names or shapes; or ``drop`` is outside of [0, 1).
    """
    check_shares(below_one=True, drop=drop)

    def merged(vectors: Tensor) -> Tensor:
        left = torch.rand(vectors.shape, generator=generator, dtype=torch.float64).to(vectors.device) >= drop
        return scale * (vectors * left / (1 - drop)).sum(dim=0)

    return _with_vectors(start, states, merged)


def _with_vectors(start: Weights, states: Sequence[Weights], merge: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Return the start moved by what ``merge`` makes of the tasks' changes (T, P), all weights in a row."""
    check_same([start, *states])
    if not states:
        raise ValueError("no fine-tuned weights to merge; give the state dict of one network or more")
    names = [name for name, value in start.items() if value.is_floating_point()]
    rows = [torch.cat([(state[name] - start[name]).flatten() for name in names]) for state in states]
    moved = torch.split(merge(torch.stack(rows)), [start[name].numel() for name in names])
    changes = dict(zip(names, moved, strict=True))
    return {name: value + changes[name].view_as(value) if name in changes else value for name, value in start.items()}
