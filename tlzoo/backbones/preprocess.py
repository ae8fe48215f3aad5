"""Preprocessing of raw items into tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.backbones.resize import Interpolation, resize
from tlzoo.errors import InputError, InputTypeError

__all__ = ["ArrayPreprocess", "ImagePreprocess"]

_LUMA = (19595, 38470, 7471)
"""ITU-R 601 in 65536ths, as Pillow counts it."""


def _as_tensor(items: Any) -> Tensor:
    if isinstance(items, Tensor):
        return items
    array = np.asarray(items)
    # torch warns of arrays that it may not write to, as memory maps opened for reading are
    return torch.from_numpy(array if array.flags.writeable else array.copy())


@dataclass(frozen=True)
class ImagePreprocess:
    """Turns uint8 images (B, H, W, C) into float32 (B, channels, size, size): resized without a crop, then normalized.

    Attributes:
        channels: 1 or 3; gray images are repeated, color images are weighted to gray (ITU-R 601).
        size: height and width, one for both or one each; None keeps the size.
        mean: mean of pixels in [0, 1], one per channel or one for all.
        std: standard deviation of pixels in [0, 1], one per channel or one for all.
        interpolation: how to resize; the result equals Pillow's.
        crop: the share of height and width, around the center, that is kept of images of another size before they are
            resized: 0.875 for the usual 224 pixels of 256.
    """

    channels: int
    size: int | tuple[int, int] | None
    mean: float | Sequence[float] = 0.5
    std: float | Sequence[float] = 0.5
    interpolation: Interpolation = "bicubic"
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise InputError(f"{self.channels} channels; expected 1 or 3")
        for name, value in (("mean", self.mean), ("std", self.std)):
            if not isinstance(value, int | float) and len(value) not in (1, self.channels):
                raise InputError(f"{name} has {len(value)} entries; expected 1 or {self.channels}, one per channel")

    @property
    def identity(self) -> str:
        """All of the settings."""
        sides = "x".join(map(str, self.size)) if isinstance(self.size, tuple) else str(self.size)
        size = "as is" if self.size is None else f"{sides} {self.interpolation}"
        cropped = "" if self.crop == 1 else f"center {self.crop:g}, "
        return f"image: {self.channels} channels, {cropped}{size}, mean {_spelled(self.mean)}, std {_spelled(self.std)}"

    def __call__(self, items: Any) -> Tensor:
        """Turn images (B, H, W, C) into a tensor (B, channels, size, size), channels last in memory.

        It has torch's default type, which trainers change for networks in other precisions.

        Raises:
            TypeError: the pixels are not uint8.
            ValueError: the shape differs, or there is an alpha channel.
        """
        images = self._colored(self._checked(_as_tensor(items)).permute(0, 3, 1, 2))
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        if size is not None and images.shape[-2:] != size:
            images = self._cropped(images)
        if size is not None and images.shape[-2:] != size:
            images = resize(images, size, self.interpolation)
        # convolutions on CPU and GPU are faster so
        layout = torch.channels_last if self.channels > 1 else torch.contiguous_format
        pixels = images.to(torch.float32).contiguous(memory_format=layout)
        normalized = pixels.sub(_column(self.mean).to(pixels)).div_(_column(self.std).to(pixels))
        return normalized.to(torch.get_default_dtype())

    def _cropped(self, images: Tensor) -> Tensor:
        height, width = (round(side * self.crop) for side in images.shape[-2:])
        top, left = ((side - kept) // 2 for side, kept in zip(images.shape[-2:], (height, width), strict=True))
        return images[..., top : top + height, left : left + width]

    def _checked(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8:
            raise InputTypeError(f"images of type {images.dtype}; expected uint8 pixels in [0, 255]")
        if images.dim() != 4 or images.shape[-1] not in (1, 3):
            raise InputError(
                f"images of shape {tuple(images.shape)}; expected (B, H, W, C) with 1 or 3 channels (flatten alpha "
                "onto a background first)"
            )
        return images

    def _colored(self, images: Tensor) -> Tensor:
        given = images.shape[1]
        if given == self.channels:
            return images
        if given == 1:
            return images.expand(-1, 3, -1, -1)
        luma = sum(weight * images[:, i : i + 1].int() for i, weight in enumerate(_LUMA))
        return torch.as_tensor(luma + 0x8000) >> 16


@dataclass(frozen=True)
class ArrayPreprocess:
    """Turns float arrays (B, ..., C) into float32, normalized along the last dimension.

    Attributes:
        mean: one value per channel or one for all.
        std: one value per channel or one for all.
    """

    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0

    @property
    def identity(self) -> str:
        """All of the settings."""
        return f"array: mean {_spelled(self.mean)}, std {_spelled(self.std)}"

    def __call__(self, items: Any) -> Tensor:
        """Turn an array (B, ..., C) into a tensor of the same shape, of torch's default type."""
        values = _as_tensor(items).to(torch.get_default_dtype())
        if self.mean == 0 and self.std == 1:
            return values
        return (values - torch.tensor(self.mean).to(values)) / torch.tensor(self.std).to(values)


def _column(value: float | Sequence[float]) -> Tensor:
    """Return a value of pixels in [0, 1] as (1, C or 1, 1, 1), of pixels in [0, 255]."""
    return torch.tensor(value, dtype=torch.float64).reshape(1, -1, 1, 1) * 255


def _spelled(value: float | Sequence[float]) -> str:
    return repr(float(value)) if isinstance(value, int | float) else " ".join(repr(float(v)) for v in value)
