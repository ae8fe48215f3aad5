"""A network for each task while they train, and a single one, merged from them, that answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from tlzoo.functional import average_weights
from tlzoo.nn.maps import at_positions
from tlzoo.nn.sharing.none import NoSharing
from tlzoo.types import Backbone

__all__ = ["MergedNetworks"]

Weights = Mapping[str, Tensor]


class MergedNetworks(NoSharing):
    """Copies of one network, each trained for its task, whose weights are merged to answer for all tasks.

    Normalization statistics and other buffers are averaged, whatever merges the weights: a combination of variances
    may be negative.

    Args:
        backbone: copied for each task; all copies start from its weights.
        tasks: names of the tasks.
        bottleneck: width of a layer behind each copy, which starts alike in all; None for no layer.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, bottleneck: int | None = None) -> None:
        super().__init__(backbone, tasks, bottleneck=bottleneck)
        first = self.bottlenecks[tasks[0]]
        for task in tasks[1:]:
            self.bottlenecks[task].load_state_dict(first.state_dict())
        self.start = nn.ModuleList([copy.deepcopy(backbone), copy.deepcopy(first)]).requires_grad_(False)
        self._merged: tuple[Any, dict[str, Tensor]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the merged weights, which are made anew."""
        return {**self.__dict__, "_merged": None}

    def answer(self, inputs: Any, merge: Callable[[Weights, Sequence[Weights]], Weights]) -> Tensor:
        """Map raw inputs (B, ...) to the features (B, D) of the merged network.

        Args:
            inputs: raw inputs.
            merge: maps the weights at the start, and those of each task, to the merged ones. It runs once, and again
                when weights have changed.
        """
        weights = self._merge(merge)
        backbone, bottleneck = self.start
        assert isinstance(backbone, Backbone)
        own, behind = ({n[2:]: w for n, w in weights.items() if n.startswith(place)} for place in ("0.", "1."))
        features: Tensor = functional_call(backbone, own, (backbone.preprocess(inputs),))
        if not behind:
            return at_positions(bottleneck, features)
        return at_positions(_With(bottleneck, behind), features)

    def _merge(self, merge: Callable[[Weights, Sequence[Weights]], Weights]) -> dict[str, Tensor]:
        """Return the merged weights and averaged buffers by their name in ``start``."""
        networks = [nn.ModuleList([self.backbones[task], self.bottlenecks[task]]) for task in self.tasks]
        values = [value for network in networks for value in (*network.parameters(), *network.buffers())]
        state = [(id(value), value._version) for value in values]
        if self._merged is None or self._merged[0] != state:
            start, *trained = (_parameters(network) for network in (self.start, *networks))
            buffers = average_weights([dict(network.named_buffers()) for network in networks])
            self._merged = (state, {**merge(start, trained), **buffers})
        return self._merged[1]


class _With(nn.Module):
    """A module that runs with other weights."""

    def __init__(self, module: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.module, self.weights = module, dict(weights)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = functional_call(self.module, self.weights, (inputs,))
        return result


def _parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.named_parameters()}
