"""Checks of episodes, for classifiers of features and for networks that adapt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from tlzoo.functional.prototypes import check_support_labels
from tlzoo.labels import as_column, class_labels
from tlzoo.methods.checks import as_tensor

if TYPE_CHECKING:
    from tlzoo.methods.base import Method

__all__ = ["Episodes", "take_episodes"]


class Episodes(NamedTuple):
    """Episodes as tensors with a leading dimension E.

    Attributes:
        support: (E, S, ...).
        labels: (E, S), int64.
        query: (E, Q, ...).
        alone: whether it was a single episode without the leading dimension.
    """

    support: Tensor
    labels: Tensor
    query: Tensor
    alone: bool


def take_episodes(
    method: Method,
    support: Any,
    support_labels: Any,
    query: Any,
    *,
    way: int,
    item: str = "...",
    classes: bool = True,
) -> Episodes:
    """Return checked episodes as tensors.

    Args:
        method: the method, for messages.
        support: (E, S, ...), or (S, ...) for a single episode; arrays or tensors.
        support_labels: (E, S) or (S,), integers.
        query: (E, Q, ...) or (Q, ...).
        way: number of classes per episode.
        item: dimensions of an item, for the message.
        classes: whether labels are classes; otherwise they may be any numbers (E, S, ...) and are not checked.

    Raises:
        ValueError: the shapes do not fit, there is no item, a label is outside ``range(way)``, or a class has no
            support.
    """
    name = type(method).__name__
    if way < 1 or way != int(way):
        raise ValueError(f"{name}: way {way}; expected at least one class per episode, an integer")
    support, query = (as_tensor(items, what=f"{name}: items") for items in (support, query))
    labels = as_column(support_labels, what=f"{name}: support_labels")
    alone = labels.ndim == 1
    if classes:
        labels = class_labels(labels, dims=1 if alone else 2, what=f"{name}: support_labels")
    labels = labels.to(support.device)
    if alone:
        support, labels, query = support.unsqueeze(0), labels.unsqueeze(0), query.unsqueeze(0)
    fits = support.ndim == query.ndim >= 3 - (item == "...") and labels.shape[:2] == support.shape[:2]
    if not fits or len(support) != len(query) or support.shape[2:] != query.shape[2:]:
        shapes = [tuple(part.shape[alone:]) for part in (support, labels, query)]
        raise ValueError(
            f"{name}: support, support_labels and query have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; "
            f"expected (E, S, {item}), (E, S) and (E, Q, {item}), or the same of one episode without E"
        )
    _check_filled(name, support=support, query=query)
    if classes:
        try:
            check_support_labels(labels, way)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return Episodes(usable(support), usable(labels), usable(query), alone)


def usable(tensor: Tensor) -> Tensor:
    """Return a tensor that allows gradients: a copy, if it was created in inference mode."""
    if torch.compiler.is_compiling():  # which cannot ask, and has no such tensors
        return tensor
    return tensor.clone() if tensor.is_inference() and not torch.is_inference_mode_enabled() else tensor


def _check_filled(name: str, **parts: Tensor) -> None:
    for part, items in parts.items():
        if not len(items):
            raise ValueError(f"{name}: no episode; expected one or more")
        if not items.shape[1]:
            which = "episode 0 has" if len(items) == 1 else f"episodes 0 to {len(items) - 1} have"
            raise ValueError(f"{name}: {which} no {part}; expected one item or more in each")
