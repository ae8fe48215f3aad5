"""SegNet, an encoder and decoder for answers at every position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.staged import ConvStaged
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["segnet"]


class _Pool(nn.Module):
    """Max pooling by 2 that keeps for :class:`_Unpool` where the maxima were."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: tuple[Tensor, torch.Size] | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        pooled: Tensor
        pooled, places = F.max_pool2d(inputs, 2, return_indices=True)
        self.kept = places, inputs.shape[-2:]
        return pooled


class _Unpool(nn.Module):
    """Puts each value back where its maximum was, and zeros elsewhere."""

    def __init__(self, pool: _Pool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.pool.kept is not None, "the decoder runs behind its encoder"
        places, size = self.pool.kept
        self.pool.kept = None
        # max_unpool2d is not deterministic, because its places might coincide; those of separate windows do not
        flat = inputs.new_zeros(*inputs.shape[:2], size.numel()).scatter(2, places.flatten(2), inputs.flatten(2))
        return flat.view(*inputs.shape[:2], *size)


def segnet(
    *,
    image_size: int | Sequence[int] = (288, 384),
    widths: Sequence[int] = (64, 128, 256, 512, 512),
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
) -> Backbone:
    """Make SegNet: the 13 convolutions of VGG-16 with five poolings, mirrored by a decoder that undoes each pooling.

    Its features are a map (B, 64, H, W) of the picture's own size, for heads of dense targets. Every convolution has
    batch normalization and ReLU; there are two in the first two blocks and three in the others. All weights start at
    random (Glorot), as in multitask tables; the paper's encoder starts from ImageNet.

    Args:
        image_size: height and width that raw images are resized to (bilinear), one for both or one each; at least 32.
        widths: channels of the five blocks, from the picture inwards.
        mean: mean of pixels in [0, 1].
        std: standard deviation of pixels in [0, 1].

    Raises:
        ValueError: a side is below 32, or there are not five widths.

    Source: Badrinarayanan, Kendall & Cipolla, TPAMI 2017, https://arxiv.org/abs/1511.00561, with the widths of Liu,
    Johns & Davison, CVPR 2019, https://arxiv.org/abs/1803.10704. Papers on weightings continue their tables.
    """
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or min(sides) < 32:
        raise InputError(f"image_size {image_size}; expected at least 32 for five poolings, one number or two")
    if len(widths) != 5:
        raise InputError(f"{len(widths)} widths; expected five, one for each block")
    depths, pools = (2, 2, 3, 3, 3), [_Pool() for _ in widths]
    body: dict[str, nn.Module] = {}
    for place, (width, depth, pool) in enumerate(zip(widths, depths, pools, strict=True)):
        before = widths[place - 1] if place else 3
        body[f"encoder{place + 1}"] = nn.Sequential(*_convolutions(before, *[width] * depth), pool)
    for place in reversed(range(5)):
        outward = widths[max(place - 1, 0)]
        convolutions = _convolutions(widths[place], *[outward] * depths[place])
        body[f"decoder{place + 1}"] = nn.Sequential(_Unpool(pools[place]), *convolutions)
    return ConvStaged(
        "segnet",
        "image",
        ImagePreprocess(3, (sides[0], sides[1]), mean, std, "bilinear"),
        expects=(3, None, None),
        num_features=widths[0],
        body=body,
        pool=nn.Identity(),
    )


def _convolutions(*widths: int) -> list[nn.Module]:
    """Return 3x3 convolutions from each width to the next, each with batch normalization and ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        nn.init.xavier_normal_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
    return layers
