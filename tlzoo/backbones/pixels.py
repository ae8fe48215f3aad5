"""Raw pixels as features: the baseline for any trained network."""

from __future__ import annotations

from torch import nn

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.staged import Staged
from tlzoo.types import Backbone

__all__ = ["pixels"]


def pixels(*, in_channels: int = 1, image_size: int = 28) -> Backbone:
    """Make the backbone whose in_channels * image_size² features are the pixels in [0, 1], row by row.

    It has nothing to train, so it is the baseline for networks trained from scratch.

    Args:
        in_channels: 1 or 3.
        image_size: size that raw images are resized to (bicubic).
    """
    return Staged(
        "pixels",
        "image",
        ImagePreprocess(in_channels, image_size, 0.0, 1.0),
        expects=(in_channels, image_size, image_size),
        num_features=in_channels * image_size**2,
        body={"pixels": nn.Identity()},
        pool=nn.Flatten(),
    )
