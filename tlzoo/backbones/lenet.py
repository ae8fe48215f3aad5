"""LeNet for digits."""

from __future__ import annotations

from torch import nn

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.staged import ConvStaged
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["lenet"]


def lenet(
    *, in_channels: int = 1, image_size: int = 32, dropout: float = 0.5, mean: float = 0.5, std: float = 0.5
) -> Backbone:
    """Make the LeNet of the domain-adaptation literature (500 features), as in the digit experiments of MCD and CDAN.

    conv 5x5, 20 - max pool - ReLU; conv 5x5, 50 - channel dropout - max pool - ReLU; linear, 500 - ReLU - dropout.
    The linear layer has 800 inputs at 28x28 and 1250 at 32x32.

    Args:
        in_channels: 1 or 3.
        image_size: size that raw images are resized to (bilinear); at least 16.
        dropout: rate of both dropouts.
        mean: mean of pixels in [0, 1].
        std: standard deviation of pixels in [0, 1].

    Raises:
        ValueError: ``image_size`` is below 16.

    Source: LeCun et al., Proc. IEEE 1998, https://doi.org/10.1109/5.726791, in the variant shipped with Caffe.
    """
    side = ((image_size - 4) // 2 - 4) // 2
    if side < 1:
        raise InputError(f"image_size {image_size}; expected at least 16, for two 5x5 convolutions and poolings")
    return ConvStaged(
        "lenet",
        "image",
        ImagePreprocess(in_channels, image_size, mean, std, "bilinear"),
        expects=(in_channels, image_size, image_size),
        num_features=500,
        body={
            "conv1": nn.Sequential(nn.Conv2d(in_channels, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
            "conv2": nn.Sequential(nn.Conv2d(20, 50, 5), nn.Dropout2d(dropout), nn.MaxPool2d(2), nn.ReLU()),
        },
        pool=nn.Flatten(),
        head=nn.Sequential(nn.Linear(50 * side * side, 500), nn.ReLU(), nn.Dropout(dropout)),
    )
