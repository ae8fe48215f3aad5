"""A multilayer perceptron for vectors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from tlzoo.backbones.preprocess import ArrayPreprocess
from tlzoo.backbones.staged import Staged
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["mlp"]


def mlp(
    *,
    num_inputs: int,
    hidden: Sequence[int] = (256,),
    dropout: float = 0.0,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
) -> Backbone:
    """Make a multilayer perceptron: linear - ReLU - dropout for each entry of ``hidden``; the last entry is D.

    Args:
        num_inputs: width of the inputs (B, num_inputs).
        hidden: widths of the layers.
        dropout: dropout rate after each layer.
        mean: subtracted from the raw inputs; one value for all, or one per input.
        std: divides the centered inputs; one value for all, or one per input.

    Raises:
        ValueError: ``hidden`` is empty.
    """
    if not hidden:
        raise InputError("hidden is empty; expected at least one width (the backbone 'identity' has no layers)")
    widths = [num_inputs, *hidden]
    return Staged(
        "mlp",
        "features",
        ArrayPreprocess(mean, std),
        expects=(num_inputs,),
        num_features=widths[-1],
        body={
            f"layer{place + 1}": nn.Sequential(
                nn.Linear(widths[place], widths[place + 1]), nn.ReLU(), nn.Dropout(dropout)
            )
            for place in range(len(hidden))
        },
        pool=nn.Identity(),
    )
