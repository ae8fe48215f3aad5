"""Wide residual networks for small pictures, such as WRN-28-10."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.published_weights import load_published
from tlzoo.backbones.staged import ConvStaged
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["wide_resnet"]


class _Block(nn.Module):
    """Normalization and ReLU before each of two 3x3 convolutions, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.convolutions = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        ready = self.before(inputs)
        beside = inputs if self.shortcut is None else self.shortcut(ready)
        result: Tensor = beside + self.convolutions(ready)
        return result


def wide_resnet(
    *,
    in_channels: int = 3,
    image_size: int = 32,
    depth: int = 28,
    width: int = 10,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    crop: float = 1.0,
    checkpoint_path: str | Path | None = None,
) -> Backbone:
    """Make a wide residual network: three groups of (``depth`` - 4) / 6 blocks, 64 x ``width`` features.

    Args:
        in_channels: 1 or 3.
        image_size: size that raw images are resized to (bicubic).
        depth: 6 n + 4 for n blocks a group.
        width: factor of the channels 16, 32 and 64.
        mean: mean of pixels in [0, 1].
        std: standard deviation of pixels in [0, 1].
        crop: share of height and width around the center that is kept of images of another size.
        checkpoint_path: weights to start from, in the layout of RobustBench and of S2M2's few-shot networks:
            ``conv1.weight``, ``block1.layer.0.bn1.weight`` ... RobustBench's ``Standard`` network takes pixels in
            [0, 1] as they are: ``mean=0.0, std=1.0``.

    Raises:
        ValueError: ``depth`` is no 6 n + 4, or the weights are those of another network.
        FileNotFoundError: ``checkpoint_path`` does not exist.

    Source: Zagoruyko and Komodakis, BMVC 2016, https://arxiv.org/abs/1605.07146.
    """
    count, rest = divmod(depth - 4, 6)
    if count < 1 or rest:
        raise InputError(f"depth is {depth}; expected 6 n + 4 for n blocks a group: 10, 16, 22, 28, 40")
    stem = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
    channels = [16, *(base * width for base in (16, 32, 64))]
    body: dict[str, nn.Module] = {"stem": stem}
    for place in range(3):
        sizes = [channels[place]] + [channels[place + 1]] * count
        body[f"group{place + 1}"] = nn.Sequential(
            *(_Block(sizes[i], sizes[i + 1], 2 if place and not i else 1) for i in range(count)),
            *([nn.BatchNorm2d(channels[-1]), nn.ReLU()] if place == 2 else []),
        )
    for module in nn.Sequential(*body.values()).modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    network = ConvStaged(
        "wide_resnet",
        "image",
        ImagePreprocess(in_channels, image_size, mean, std, crop=crop),
        expects=(in_channels, None, None),
        num_features=channels[-1],
        body=body,
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    if checkpoint_path is not None:
        others = {"conv1": "body.stem", "bn1": f"body.group3.{count}"}
        load_published(
            network,
            checkpoint_path,
            lambda name: _renamed(name, others),
            what=f"wide ResNet-{depth}-{width}",
            layout="RobustBench's",
        )
    return network


_LAYERS = {"bn1": "before.0", "conv1": "convolutions.0", "bn2": "convolutions.1", "conv2": "convolutions.3"} | {
    "convShortcut": "shortcut"
}
"""Layers of a block in RobustBench's files -> ours."""


def _renamed(name: str, others: dict[str, str]) -> str | None:
    layer, _, leaf = name.rpartition(".")
    if layer in others:
        return f"{others[layer]}.{leaf}"
    found = re.fullmatch(r"block(\d)\.layer\.(\d+)\.(\w+)", layer)
    return f"body.group{found[1]}.{found[2]}.{_LAYERS[found[3]]}.{leaf}" if found and found[3] in _LAYERS else None
