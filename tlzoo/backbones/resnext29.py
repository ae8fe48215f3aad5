"""ResNeXt-29 for small pictures, as AugMix trains it."""

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

__all__ = ["resnext29"]

_EXPANSION = 4
_BLOCKS = 3


class _Block(nn.Module):
    """A 1x1, a grouped 3x3 and a 1x1 convolution, beside a shortcut."""

    def __init__(self, inputs: int, planes: int, groups: int, group_width: int, stride: int) -> None:
        super().__init__()
        inner, outputs = planes * group_width // 64 * groups, _EXPANSION * planes
        self.convolutions = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            None
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, inputs: Tensor) -> Tensor:
        beside = inputs if self.shortcut is None else self.shortcut(inputs)
        return F.relu(beside + self.convolutions(inputs))


def resnext29(
    *,
    image_size: int = 32,
    groups: int = 4,
    group_width: int = 32,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    checkpoint_path: str | Path | None = None,
) -> Backbone:
    """Make ResNeXt-29 (4 x 32d): three stages of three blocks, 1,024 features.

    Args:
        image_size: size that raw images are resized to (bicubic).
        groups: of the 3x3 convolutions, the cardinality.
        group_width: channels of each of them in the first stage.
        mean: mean of pixels in [0, 1].
        std: standard deviation of pixels in [0, 1].
        checkpoint_path: weights to start from, in the layout of AugMix's authors, which RobustBench keeps
            (``Hendrycks2020AugMix_ResNeXt``): ``conv_1_3x3.weight``, ``stage_1.0.conv_reduce.weight`` ...

    Raises:
        ValueError: the weights are those of another network.
        FileNotFoundError: ``checkpoint_path`` does not exist.

    Source: Xie et al., CVPR 2017, https://arxiv.org/abs/1611.05431; Hendrycks et al., ICLR 2020,
    https://arxiv.org/abs/1912.02781.
    """
    stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
    body: dict[str, nn.Module] = {"stem": stem}
    inputs = 64
    for stage in range(3):
        blocks, planes = [], 64 * 2**stage
        for place in range(_BLOCKS):
            blocks.append(_Block(inputs, planes, groups, group_width, 2 if stage and not place else 1))
            inputs = _EXPANSION * planes
        body[f"stage{stage + 1}"] = nn.Sequential(*blocks)
    for module in nn.Sequential(*body.values()).modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    network = ConvStaged(
        "resnext29",
        "image",
        ImagePreprocess(3, image_size, mean, std),
        expects=(3, None, None),
        num_features=inputs,
        body=body,
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    if checkpoint_path is not None:
        load_published(network, checkpoint_path, _renamed, what="ResNeXt-29", layout="AugMix's")
    return network


_LAYERS = {
    **{"conv_reduce": "convolutions.0", "bn_reduce": "convolutions.1"},
    **{"conv_conv": "convolutions.3", "bn": "convolutions.4"},
    **{"conv_expand": "convolutions.6", "bn_expand": "convolutions.7"},
    **{"downsample.0": "shortcut.0", "downsample.1": "shortcut.1"},
}
"""Layers of a block in AugMix's files -> ours."""

_STEM = {"conv_1_3x3": "body.stem.0", "bn_1": "body.stem.1"}


def _renamed(name: str) -> str | None:
    layer, _, leaf = name.rpartition(".")
    if layer in _STEM:
        return f"{_STEM[layer]}.{leaf}"
    found = re.fullmatch(r"stage_(\d)\.(\d+)\.(.+)", layer)
    return f"body.stage{found[1]}.{found[2]}.{_LAYERS[found[3]]}.{leaf}" if found and found[3] in _LAYERS else None
