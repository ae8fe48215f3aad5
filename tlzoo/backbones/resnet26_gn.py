"""ResNet-26 with group normalization for small pictures, as test-time training takes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.published_weights import load_published
from tlzoo.backbones.staged import ConvStaged
from tlzoo.types import Backbone

__all__ = ["resnet26_gn"]

_BLOCKS = 4


class _Block(nn.Module):
    """Normalization and ReLU before each of two 3x3 convolutions; the shortcut averages and adds empty channels."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.stride, self.added = stride, outputs - inputs
        self.convolutions = nn.Sequential(
            nn.GroupNorm(groups, inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        beside = inputs if self.stride == 1 else F.avg_pool2d(inputs, self.stride)
        result: Tensor = F.pad(beside, (0, 0, 0, 0, 0, self.added)) + self.convolutions(inputs)
        return result


def resnet26_gn(
    *,
    image_size: int = 32,
    width: int = 1,
    groups: int = 8,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    checkpoint_path: str | Path | None = None,
) -> Backbone:
    """Make ResNet-26 with group normalization: three layers of four blocks, 64 x ``width`` features.

    It has no batch statistics, so streams of one picture or of one class at a time do not harm it.

    Args:
        image_size: size that raw images are resized to (bicubic).
        width: factor of the channels 16, 32 and 64.
        groups: of each normalization.
        mean: mean of pixels in [0, 1].
        std: standard deviation of pixels in [0, 1].
        checkpoint_path: weights to start from, in the layout of the paper's authors: ``conv1.weight``,
            ``layer1.0.bn1.weight`` ..., below ``net`` if they are.

    Raises:
        ValueError: the weights are those of another network.
        FileNotFoundError: ``checkpoint_path`` does not exist.

    Source: Sun et al., ICML 2020, https://arxiv.org/abs/1909.13231.
    """
    channels = [16, *(base * width for base in (16, 32, 64))]
    body: dict[str, nn.Module] = {"stem": nn.Conv2d(3, 16, 3, padding=1, bias=False)}
    for place in range(3):
        sizes = [channels[place]] + [channels[place + 1]] * _BLOCKS
        body[f"layer{place + 1}"] = nn.Sequential(
            *(_Block(sizes[i], sizes[i + 1], 2 if place and not i else 1, groups) for i in range(_BLOCKS)),
            *([nn.GroupNorm(groups, channels[-1]), nn.ReLU()] if place == 2 else []),
        )
    for module in nn.Sequential(*body.values()).modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    network = ConvStaged(
        "resnet26_gn",
        "image",
        ImagePreprocess(3, image_size, mean, std),
        expects=(3, None, None),
        num_features=channels[-1],
        body=body,
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    if checkpoint_path is not None:
        load_published(network, checkpoint_path, _renamed, what="ResNet-26", layout="the authors'")
    return network


_LAYERS = {"bn1": "convolutions.0", "conv1": "convolutions.2", "bn2": "convolutions.3", "conv2": "convolutions.5"}
"""Layers of a block in the authors' files -> ours."""

_OTHERS = {"conv1": "body.stem", "bn": f"body.layer3.{_BLOCKS}"}


def _renamed(name: str) -> str | None:
    layer, _, leaf = name.rpartition(".")
    if layer in _OTHERS:
        return f"{_OTHERS[layer]}.{leaf}"
    found = re.fullmatch(r"layer(\d)\.(\d+)\.(\w+)", layer)
    return f"body.layer{found[1]}.{found[2]}.{_LAYERS[found[3]]}.{leaf}" if found and found[3] in _LAYERS else None
