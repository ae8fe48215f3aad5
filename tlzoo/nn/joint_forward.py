"""Passes several sets of inputs through one network at once, so they share its batch statistics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.nn.network import Network
from tlzoo.nn.preparation import Side
from tlzoo.types import Examples, Prediction

__all__ = ["through", "view_part", "with_views"]


def view_part(side: str, view: str) -> str:
    """Return the name under which a view of a side passes through the network."""
    return f"{side}, {view} view"


def with_views(side: str, examples: Examples) -> dict[str, Any]:
    """Return the inputs of a side and of its views by name."""
    return {side: examples.inputs, **{view_part(side, view): inputs for view, inputs in examples.views.items()}}


def through(network: nn.Module, parts: Mapping[str, Any]) -> dict[str, Prediction]:
    """Return the predictions for each part, tensors (B, ...) or lists of texts, passed as one batch.

    Parts whose name begins with ``source`` are prepared as source inputs are, all others as those of the target.

    Raises:
        ValueError: the parts differ in shape.
    """
    if not parts:
        return {}
    joint: Prediction
    if isinstance(network, Network) and network.preparation.transform is not None:
        prepared = {name: network.prepared(inputs, _side(name)) for name, inputs in parts.items()}
        joint = network.answer(_together(prepared))
    else:
        joint = network(_together(parts))
    ends = list(itertools.accumulate(map(len, parts.values())))
    rows = zip(parts, (slice(first, end) for first, end in zip([0, *ends], ends, strict=False)), strict=True)
    return {name: Prediction(features=joint.features[own], logits=joint.logits[own]) for name, own in rows}


def _side(part: str) -> Side:
    return "source" if part.startswith("source") else "target"


def _together(parts: Mapping[str, Any]) -> Any:
    (first, whole), *others = parts.items()
    if not others:
        return whole
    if not isinstance(whole, Tensor):
        return [text for part in parts.values() for text in part]
    for name, inputs in others:
        if inputs.shape[1:] != whole.shape[1:]:
            raise InputError(
                f"{first} and {name} inputs differ in shape: {tuple(whole.shape[1:])} and {tuple(inputs.shape[1:])}; "
                'resize them, or use batch_statistics="per_domain"'
            )
    return torch.cat(list(parts.values()))
