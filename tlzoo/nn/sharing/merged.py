"""A network for each task while they train, and a single one, merged from them, that answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from tlzoo.functional import average_weights
from tlzoo.nn.maps import at_positions
from tlzoo.nn.sharing.none import NoSharing
from tlzoo.types import Backbone

__all__ = ["MergedNetworks"]

Weights = Mapping[str, Tensor]


class _Body(nn.ModuleList):
    """A backbone and the layer behind it: raw inputs (B, ...) to features (B, D)."""

    def forward(self, inputs: Any) -> Tensor:
        backbone, bottleneck = self
        assert isinstance(backbone, Backbone)
        return at_positions(bottleneck, backbone(backbone.preprocess(inputs)))


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
        self.start = _Body([copy.deepcopy(backbone), copy.deepcopy(first)]).requires_grad_(False)
        self._merged: tuple[Any, dict[str, Tensor], list[Tensor]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the merged weights, which are made anew."""
        return {**self.__dict__, "_merged": None}

    def bodies(self) -> list[nn.Module]:
        """Return the network of each task, whose weights are named as in ``start``."""
        return [_Body([self.backbones[task], self.bottlenecks[task]]) for task in self.tasks]

    def version(self) -> list[tuple[int, int]]:
        """Return what changes when weights or statistics of the tasks' networks do."""
        return _version([value for body in self.bodies() for value in (*body.parameters(), *body.buffers())])

    def answer(
        self, inputs: Any, merge: Callable[[Weights, Sequence[Weights]], Weights], *, known: Iterable[Tensor] = ()
    ) -> Tensor:
        """Map raw inputs (B, ...) to the features (B, D) of the merged network.

        Args:
            inputs: raw inputs.
            merge: maps the weights at the start, and those of each task, to the merged ones. It runs once, and again
                when weights have changed.
            known: what it depends on besides the weights.
        """
        known = list(known)  # kept with the result, so that no other tensor gets their identity
        state = [*self.version(), *_version(known)]
        if self._merged is None or self._merged[0] != state:
            bodies = self.bodies()
            start, *trained = (_parameters(body) for body in (self.start, *bodies))
            buffers = average_weights([dict(body.named_buffers()) for body in bodies])
            self._merged = (state, {**merge(start, trained), **buffers}, known)
        features: Tensor = functional_call(self.start, self._merged[1], (inputs,))
        return features


def _version(values: Iterable[Tensor]) -> list[tuple[int, int]]:
    return [(id(value), value._version) for value in values]


def _parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.named_parameters()}
