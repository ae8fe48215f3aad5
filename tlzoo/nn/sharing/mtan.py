"""MTAN: a shared network with attention of each task to its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tlzoo.nn.maps import pooled
from tlzoo.nn.named_modules import NamedModules
from tlzoo.nn.sharing.base import Sharing, composed_groups
from tlzoo.types import Backbone

__all__ = ["MTAN"]


class _Attention(nn.Module):
    """A mask for every position of a layer group's output.

    Args:
        channels: C of the output.
        before: channels of the masked output one group earlier; None for the first group.
        hidden: units.
    """

    def __init__(self, channels: int, before: int | None, hidden: int) -> None:
        super().__init__()
        self.look = nn.Linear(channels, hidden)
        self.recall = None if before is None else nn.Linear(before, hidden)
        self.decide = nn.Linear(hidden, channels)

    def forward(self, output: Tensor, picked: Tensor | None) -> Tensor:
        """Return the masked output (B, C, ...), given the masked output one group earlier (B, C', ...)."""
        hidden = self.look(output.movedim(1, -1))
        if self.recall is not None and picked is not None:
            before = self.recall(pooled(picked))
            hidden = hidden + before.view(len(before), *[1] * (output.ndim - 2), -1)
        mask: Tensor = self.decide(hidden.relu()).sigmoid()
        return output * mask.movedim(-1, 1)


class MTAN(Sharing):
    """Multitask attention (Liu, Johns & Davison, CVPR 2019), https://arxiv.org/abs/1803.10704.

    The backbone is shared. After each layer group, every task multiplies the group's output by a sigmoid mask, computed
    from that output and the task's masked output one group earlier. The last masked output provides the features.

    Differs from the paper: one mask per layer group, for any composition of layers. The mask uses the mean over
    positions of the earlier masked output, so groups may change the size of a map or flatten it.

    Args:
        backbone: a composition of its layer groups.
        tasks: names of the tasks.
        reduction: hidden units of an attention module, as a share of the group's channels.

    Raises:
        ValueError: the backbone is not composable, or the layers of its first group do not determine its channels.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, reduction: float = 0.25) -> None:
        super().__init__(backbone, tasks)
        if reduction <= 0:
            raise ValueError(f"reduction {reduction}; expected a number > 0")
        self.preprocess = backbone.preprocess
        self.groups = nn.ModuleList(composed_groups(backbone, by=type(self).__name__))
        widths = _widths(self.groups, backbone)
        pairs = list(zip(widths, [None, *widths[:-1]], strict=True))
        self.attention = NamedModules(
            {
                task: nn.ModuleList(_Attention(now, before, max(1, round(reduction * now))) for now, before in pairs)
                for task in self.tasks
            }
        )

    def shared(self, inputs: Any) -> tuple[Tensor, ...]:
        """Return the output (B, C, ...) of every layer group."""
        outputs = [self.preprocess(inputs)]
        for group in self.groups:
            outputs.append(group(outputs[-1]))
        return tuple(outputs[1:])

    def private(self, shared: tuple[Tensor, ...], task: str) -> Tensor:
        """Apply the task's masks to the outputs of the groups, from the first group on."""
        modules = self.attention[task]
        assert isinstance(modules, nn.ModuleList)
        picked: Tensor | None = None
        for output, attention in zip(shared, modules, strict=True):
            picked = attention(output, picked)
        assert picked is not None
        return picked

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the groups."""
        return list(self.groups.parameters())

    def pretrained(self) -> nn.Module:
        """Return the groups."""
        return self.groups


def _widths(groups: nn.ModuleList, backbone: Backbone) -> list[int]:
    """Return the channels of each group's output; the last is as wide as the features."""
    widths: list[int] = []
    for group in groups:
        told = [width for module in group.modules() if (width := _width(module)) is not None]
        if not told and not widths:
            raise ValueError(
                f"{backbone.name}: its first layer group has no convolution, linear or normalization layer, so its "
                "number of channels is unknown; MTAN attends to trained layers"
            )
        widths.append(told[-1] if told else widths[-1])
    widths[-1] = backbone.num_features
    return widths


def _width(module: nn.Module) -> int | None:
    for name in ("out_channels", "out_features", "num_features"):
        value = getattr(module, name, None)
        if isinstance(value, int):
            return value
    return None
