"""The pixels themselves: what any trained network must beat."""

from __future__ import annotations

from torch import nn

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.staged import Staged
from tlzoo.types import Backbone

__all__ = ["pixels"]


def pixels(*, in_channels: int = 1, image_size: int = 28) -> Backbone:
    """Make the backbone whose features are the pixels in [0, 1], row by row: in_channels * image_size² of them.

    It has nothing to train: the baseline of networks that are trained from scratch.

    Args:
        in_channels: 1 or 3.
        image_size: raw images are resized to it (bicubic).
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
