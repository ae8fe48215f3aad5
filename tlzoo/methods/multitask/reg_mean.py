"""RegMean: the linear layers closest to the outputs of all networks, in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import reg_mean
from tlzoo.functional.checks import check_counts, check_shares
from tlzoo.methods.kept_weights import KeptWeights
from tlzoo.methods.merging import Merging, TaskNetworks
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.space import Choice, Space

__all__ = ["RegMean"]

_BATCH = 64


class RegMean(Merging):
    r"""Regression mean (Jin et al., ICLR 2023), https://arxiv.org/abs/2212.09849.

    .. math:: W = \Big(\sum_t \tilde G_t\Big)^{-1} \sum_t \tilde G_t W_t

    with the Gram matrices of a layer's inputs in each network, whose entries off the diagonal are multiplied by alpha.
    See :func:`tlzoo.functional.reg_mean`. All weights but those of linear layers are averaged.

    Differs from the paper: convolutions are linear layers as well, whose inputs are the patches of a group of channels
    (the paper's networks have none); what the inputs do not determine is averaged; the number of inputs, which the
    paper takes from 1,000 batches; normalization statistics are averaged.

    Args:
        num_tasks: T.
        examples: training inputs to look at.
        shrink: alpha; the paper's best differ by network, from 0.1 (T5) to 0.9.
    """

    paper = Paper(
        title="Dataless Knowledge Fusion by Merging Weights of Language Models",
        authors=("Jin", "Ren", "Preotiuc-Pietro", "Cheng"),
        venue="ICLR",
        year=2023,
        arxiv="2212.09849",
    )
    space = Space(shrink=Choice((0.1, 0.5, 0.9, 1.0)))
    variants = ({"examples": 8}, {"examples": 8, "shrink": 0.1})

    def __init__(self, num_tasks: int, *, examples: int = 1000, shrink: float = 0.9) -> None:
        super().__init__(num_tasks)
        check_counts(examples=examples)
        check_shares(shrink=shrink)
        self.examples, self.shrink = examples, shrink
        self.random, self.grams = RandomStream(), KeptWeights()

    def learn(self, networks: TaskNetworks) -> None:
        """Keep the Gram matrices of the inputs of all layers, in each network."""
        places = networks.drawn(self.examples, self.random.constant())
        kept: dict[str, Tensor] = {}
        for task, body in enumerate(networks.bodies):
            names = [name for name, _ in body.named_parameters()]
            grams: dict[str, Tensor] = {}
            hooks = [
                layer.register_forward_pre_hook(partial(_add_gram, grams, f"{name}.weight" if name else "weight"))
                for name, layer in body.named_modules()
                if _is_linear(layer)
            ]
            try:
                with torch.no_grad():
                    for first in range(0, len(places), _BATCH):
                        body(networks.inputs(places[first : first + _BATCH]))
            finally:
                for hook in hooks:
                    hook.remove()
            kept |= {f"{task}.{name}": grams.get(name, torch.zeros(0)) for name in names}
        self.grams.replace(kept)

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the regression mean."""
        if not self.grams.kept:
            raise RuntimeError("RegMean: the Gram matrices are not known yet; call fit first (Multitask.study)")
        values = iter(self.grams.buffers())
        grams = [{name: gram for name in start if (gram := next(values)).numel()} for _ in states]
        return reg_mean(states, grams, shrink=self.shrink)


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    )


def _add_gram(grams: dict[str, Tensor], name: str, layer: nn.Module, given: tuple[Any, ...]) -> None:
    """Add the Gram matrices (groups, d, d) of a layer's inputs to those of earlier batches."""
    inputs: Tensor = given[0]
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        patches = F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        own = patches.reshape(len(patches), layer.groups, -1, patches.shape[-1])
        rows = own.permute(1, 0, 3, 2).flatten(1, 2)
    else:
        rows = inputs.reshape(1, -1, inputs.shape[-1])
    gram = rows.mT @ rows
    grams[name] = grams[name] + gram if name in grams else gram
