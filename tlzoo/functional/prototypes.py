"""Class means of support sets, batched over episodes."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import read_value
from tlzoo.functional.norms import directions
from tlzoo.functional.precision import at_least_float32, matmul

__all__ = [
    "check_support_labels",
    "cosine_similarities",
    "memberships",
    "nearest_neighbors",
    "negative_squared_distances",
    "prototypes",
]


def prototypes(support: Tensor, labels: Tensor, way: int) -> Tensor:
    """Return the class means (E, way, D) of support (E, S, D) with labels (E, S).

    Raises:
        ValueError: the shapes do not fit, a label is outside ``range(way)``, or a class has no support; the message
            names the episode.

    >>> support = torch.tensor([[[0.0], [2.0], [5.0]]])
    >>> prototypes(support, torch.tensor([[0, 0, 1]]), 2).tolist()
    [[[1.0], [5.0]]]
    """
    if support.ndim != 3 or labels.shape != support.shape[:2]:
        raise ValueError(
            f"support and labels have shapes {tuple(support.shape)} and {tuple(labels.shape)}; "
            "expected (E, S, D) and (E, S)"
        )
    members = memberships(labels, way, dtype=support.dtype)
    return (members.transpose(1, 2) @ support) / members.sum(dim=1).unsqueeze(2)


def memberships(labels: Tensor, way: int, *, dtype: torch.dtype) -> Tensor:
    """Return the one-hot encoding (E, S, way) of support labels (E, S).

    Raises:
        ValueError: a label is outside ``range(way)``, or a class has no support; the message names the episode.

    >>> memberships(torch.tensor([[1, 0]]), 2, dtype=torch.float32).tolist()
    [[[0.0, 1.0], [1.0, 0.0]]]
    """
    return check_support_labels(labels, way).to(dtype)


def check_support_labels(labels: Tensor, way: int) -> Tensor:
    """Return the labels (E, S) of support sets as booleans (E, S, way), once they are checked.

    Raises:
        ValueError: a label outside ``range(way)``, or a class of an episode without support; the episode is named.
            Looked at on the CPU only.
    """
    members = labels.unsqueeze(2) == torch.arange(way, device=labels.device)
    missing, outside = ~members.any(dim=1), ~members.any(dim=2)
    if read_value(missing.any() | outside.any()):
        raise ValueError(_bad_labels(labels, missing, outside, way))
    return members


def cosine_similarities(query: Tensor, centers: Tensor) -> Tensor:
    """Return the cosines (E, Q, W) between queries (E, Q, D) and centers (E, W, D); 0 for a vector of zeros.

    >>> cosine_similarities(torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])).tolist()
    [[[1.0, 0.0]]]
    """
    query, centers = at_least_float32(query), at_least_float32(centers)  # whose squares do not underflow
    return directions(query) @ directions(centers).transpose(1, 2)


def _bad_labels(labels: Tensor, missing: Tensor, outside: Tensor, way: int) -> str:
    if bool(outside.any()):
        episode, item = outside.nonzero()[0].tolist()
        return f"episode {episode}: label {int(labels[episode, item])}; expected labels in range({way})"
    episode, label = missing.nonzero()[0].tolist()
    return f"episode {episode}: class {label} of {way} has no support; give each class at least one example"


def nearest_neighbors(closeness: Tensor, count: int) -> Tensor:
    """Return (E, N, N): 1 where the column's item is among the ``count`` nearest of the row's item.

    An item is not its own neighbor. No gradient flows through the choice.

    Args:
        closeness: (E, N, N) of all pairs, such as negative squared distances.
        count: neighbors of each item; all others if there are fewer.

    >>> items = torch.tensor([[[0.0], [1.0], [5.0]]])
    >>> nearest_neighbors(negative_squared_distances(items, items), 1).tolist()
    [[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    itself = torch.eye(closeness.shape[1], dtype=torch.bool, device=closeness.device)
    closeness = closeness.detach().masked_fill(itself, -torch.inf)
    chosen = closeness.topk(min(count, closeness.shape[1] - 1), dim=-1).indices
    return torch.zeros_like(closeness).scatter(-1, chosen, 1.0)


def negative_squared_distances(query: Tensor, centers: Tensor) -> Tensor:
    """Return the negative squared distances (E, Q, W) between queries (E, Q, D) and centers (E, W, D).

    They are float32 at least, because a square of float16 overflows above 255, and differences of squares lose digits.

    >>> negative_squared_distances(torch.tensor([[[1.0]]]), torch.tensor([[[0.0], [3.0]]])).tolist()
    [[[-1.0, -4.0]]]
    """
    query, centers = at_least_float32(query), at_least_float32(centers)
    shift = centers.mean(dim=1, keepdim=True).detach()  # distances do not change; float32 keeps more digits
    query, centers = query - shift, centers - shift
    products = matmul(query, centers.transpose(1, 2))
    return 2 * products - query.square().sum(-1, keepdim=True) - centers.square().sum(-1).unsqueeze(1)
