"""A convolutional network for time series."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tlzoo.backbones.preprocess import ArrayPreprocess
from tlzoo.backbones.staged import ConvStaged
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["temporal"]


class _TimeLast(nn.Module):
    """Maps (B, time, channels) to (B, channels, time)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.transpose(1, 2)


def temporal(
    *,
    in_channels: int,
    widths: Sequence[int] = (64, 128, 128),
    kernels: Sequence[int] = (7, 5, 3),
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
) -> Backbone:
    """Make a fully convolutional network for series (B, time, in_channels) of any length.

    Convolution - batch norm - ReLU for each entry of ``widths``, then the mean over time.

    Args:
        in_channels: channels of the series.
        widths: channels of the layers; the last is D.
        kernels: lengths of the kernels in time steps, odd.
        mean: subtracted from the raw series; one value for all, or one per channel.
        std: divides the centered series; one value for all, or one per channel.

    Raises:
        ValueError: ``widths`` and ``kernels`` differ in length, or a kernel is even.

    Source: Wang et al., IJCNN 2017, https://arxiv.org/abs/1611.06455, with fewer channels and odd kernels.
    """
    if len(widths) != len(kernels) or not widths:
        raise InputError(f"{len(widths)} widths and {len(kernels)} kernels; expected as many of each, at least one")
    if any(kernel % 2 == 0 for kernel in kernels):
        raise InputError(f"kernels {tuple(kernels)}; expected odd lengths, which keep the length of the series")
    sizes = [in_channels, *widths]
    layers = [
        nn.Sequential(
            nn.Conv1d(sizes[place], sizes[place + 1], kernel, padding=kernel // 2),
            nn.BatchNorm1d(sizes[place + 1]),
            nn.ReLU(),
        )
        for place, kernel in enumerate(kernels)
    ]
    layers[0].insert(0, _TimeLast())
    return ConvStaged(
        "temporal",
        "series",
        ArrayPreprocess(mean, std),
        expects=(None, in_channels),
        num_features=widths[-1],
        body={f"layer{place + 1}": layer for place, layer in enumerate(layers)},
        pool=nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    )
