"""The four-layer convolutional network of few-shot learning."""

from __future__ import annotations

from torch import nn

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.staged import ConvStaged
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["conv4"]


def conv4(
    *,
    in_channels: int = 1,
    image_size: int = 28,
    width: int = 64,
    running_statistics: bool = False,
    mean: float = 0.5,
    std: float = 0.5,
) -> Backbone:
    """Make the 64-64-64-64 network of matching and prototypical networks.

    Four blocks of conv 3x3, batch norm, ReLU and max pool, then a flattened map: 64 features at 28x28, 1600 at 84x84.

    In training and in evaluation, batch norm uses the statistics of the current batch and keeps no running buffers, as
    MAML and similar methods need. Predictions for a query batch then depend on that batch (they are transductive), and
    :class:`~tlzoo.backbones.FeatureCache` refuses the network.

    Args:
        in_channels: 1 or 3.
        image_size: size that raw images are resized to (bicubic); at least 16.
        width: channels of each layer.
        running_statistics: keep running statistics and evaluate with them.
        mean: mean of pixels in [0, 1].
        std: standard deviation of pixels in [0, 1].

    Raises:
        ValueError: ``image_size`` is below 16.

    Source: Vinyals et al., NeurIPS 2016, https://arxiv.org/abs/1606.04080; Snell et al., NeurIPS 2017,
    https://arxiv.org/abs/1703.05175.
    """
    side = image_size // 16
    if side < 1:
        raise InputError(f"image_size {image_size}; expected at least 16, for four poolings")
    sizes = [in_channels, width, width, width, width]
    return ConvStaged(
        "conv4",
        "image",
        ImagePreprocess(in_channels, image_size, mean, std),
        expects=(in_channels, image_size, image_size),
        num_features=width * side * side,
        body={
            f"block{place + 1}": nn.Sequential(
                nn.Conv2d(sizes[place], width, 3, padding=1),
                nn.BatchNorm2d(width, track_running_stats=running_statistics),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            for place in range(4)
        },
        pool=nn.Flatten(),
    )
