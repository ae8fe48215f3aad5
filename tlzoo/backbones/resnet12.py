"""ResNet-12 of few-shot learning."""

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

__all__ = ["resnet12"]

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, a=0.1, mode="fan_out", nonlinearity="leaky_relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class _Block(nn.Module):
    """Three 3x3 convolutions with a 1x1 shortcut, then max pool and dropout."""

    def __init__(self, inputs: int, outputs: int, drop_rate: float) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _conv(inputs, outputs, 3),
            nn.LeakyReLU(0.1),
            _conv(outputs, outputs, 3),
            nn.LeakyReLU(0.1),
            _conv(outputs, outputs, 3),
        )
        self.shortcut = _conv(inputs, outputs, 1)
        self.after = nn.Sequential(nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Dropout(drop_rate))

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.after(self.convolutions(inputs) + self.shortcut(inputs))
        return result


def resnet12(
    *,
    in_channels: int = 3,
    image_size: int = 84,
    widths: Sequence[int] = (64, 160, 320, 640),
    drop_rate: float | Sequence[float] = 0.0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    crop: float = 1.0,
    checkpoint_path: str | Path | None = None,
) -> Backbone:
    """Make the ResNet-12 of few-shot learning: four residual blocks of three convolutions, 640 features.

    Args:
        in_channels: 1 or 3.
        image_size: size that raw images are resized to (bicubic); the network takes any size from 16.
        widths: channels of the blocks; the last is the number of features.
        drop_rate: dropout rate at the end of each block, one for all or one each (MetaOptNet: 0.1).
        mean: mean of pixels in [0, 1]; by default ImageNet's for 3 channels, 0.5 for 1.
        std: standard deviation of pixels in [0, 1]; by default ImageNet's for 3 channels, 0.5 for 1.
        crop: share of height and width around the center that is kept of images of another size.
        checkpoint_path: weights to start from, in the layout of FEAT's authors (``layer1.0.conv1.weight`` ..., below
            ``params`` and ``encoder.`` if they are), read with ``weights_only=True``.

    Raises:
        ValueError: ``drop_rate`` and ``widths`` differ in length, or the weights are those of another network.
        FileNotFoundError: ``checkpoint_path`` does not exist.

    Differs from the papers: plain dropout in all blocks; MetaOptNet has DropBlock in the last two.

    Source: Oreshkin et al., NeurIPS 2018, https://arxiv.org/abs/1805.10123; Lee et al., CVPR 2019,
    https://arxiv.org/abs/1904.03758.
    """
    rates = [float(drop_rate)] * len(widths) if isinstance(drop_rate, int | float) else list(drop_rate)
    if len(rates) != len(widths):
        raise InputError(f"{len(rates)} drop rates for {len(widths)} blocks; expected one for all or one each")
    color = in_channels == 3
    preprocess = ImagePreprocess(
        in_channels,
        image_size,
        mean if mean is not None else _IMAGENET_MEAN if color else 0.5,
        std if std is not None else _IMAGENET_STD if color else 0.5,
        crop=crop,
    )
    inputs = [in_channels, *widths[:-1]]
    network = ConvStaged(
        "resnet12",
        "image",
        preprocess,
        expects=(in_channels, None, None),
        num_features=widths[-1],
        body={
            f"block{place + 1}": _Block(*sizes) for place, sizes in enumerate(zip(inputs, widths, rates, strict=True))
        },
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    if checkpoint_path is not None:
        load_published(network, checkpoint_path, _renamed, what="ResNet-12", layout="FEAT's")
    return network


_LAYERS = {"conv1": "convolutions.0.0", "conv2": "convolutions.2.0", "conv3": "convolutions.4.0"} | {
    **{"bn1": "convolutions.0.1", "bn2": "convolutions.2.1", "bn3": "convolutions.4.1"},
    **{"downsample.0": "shortcut.0", "downsample.1": "shortcut.1"},
}
"""Layers of a block in FEAT's files -> ours."""


def _renamed(name: str) -> str | None:
    found = re.fullmatch(r"layer(\d)\.0\.(conv\d|bn\d|downsample\.\d)\.(\w+)", name)
    return f"body.block{found[1]}.{_LAYERS[found[2]]}.{found[3]}" if found and found[2] in _LAYERS else None
