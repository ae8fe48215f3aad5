"""RegMean: the linear layers closest to the outputs of all networks, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

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

    .. math:: W = \left(\sum_t \tilde G_t\right)^{-1} \sum_t \tilde G_t W_t

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
            with torch.no_grad(), _Inputs(body) as watched:
                for first in range(0, len(places), _BATCH):
                    body(networks.inputs(places[first : first + _BATCH]))
            kept |= {f"{task}.{name}": watched.grams.get(name, torch.zeros(0)) for name in names}
        self.grams.replace(kept)

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the regression mean."""
        if not self.grams.kept:
            raise RuntimeError("RegMean: the Gram matrices are not known yet; call fit first (Multitask.study)")
        values = iter(self.grams.buffers())
        grams = [{name: gram for name in start if (gram := next(values)).numel()} for _ in states]
        return reg_mean(states, grams, shrink=self.shrink)


class _Inputs(TorchFunctionMode):
    """Sums the Gram matrices (g, d, d) of what is multiplied by the weights of a network, as ``grams`` by their names.

    It watches the products themselves, because layers may pad or change their inputs first.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.names = {id(weight): name for name, weight in network.named_parameters()}
        self.grams: dict[str, Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is F.linear:
            self._note(args, kwargs or {}, _rows)
        elif func is F.conv2d:
            self._note(args, kwargs or {}, _patches)
        return func(*args, **(kwargs or {}))

    def _note(self, args: Sequence[Any], kwargs: Mapping[str, Any], rows_of: Callable[..., Tensor | None]) -> None:
        given = dict(zip(_ARGUMENTS, args, strict=False)) | dict(kwargs)
        name = self.names.get(id(given["weight"]))
        if name is not None and (rows := rows_of(given.pop("input"), **given)) is not None:
            gram = rows.mT @ rows
            self.grams[name] = self.grams[name] + gram if name in self.grams else gram


_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def _rows(inputs: Tensor, **_: Any) -> Tensor:
    """Return the inputs (1, N, d) of a linear layer."""
    return inputs.reshape(1, -1, inputs.shape[-1])


def _patches(
    inputs: Tensor,
    weight: Tensor,
    bias: Any = None,  # noqa: ARG001 - it is an argument of the product
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """Return the patches (groups, N, d) of a convolution's inputs; None if they are padded by a rule."""
    if isinstance(padding, str):
        return None
    patches = F.unfold(inputs, weight.shape[2:], dilation, padding, stride)
    own = patches.reshape(len(patches), groups, -1, patches.shape[-1])
    return own.permute(1, 0, 3, 2).flatten(1, 2)
