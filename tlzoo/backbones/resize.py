"""Resizing that equals Pillow's bit for bit, on whole batches and on any device.

torch's own antialiased resize differs from Pillow's: its weights have fewer bits, and on floats it does not round
between the two passes. Features would then depend on which of the two prepared the images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["Interpolation", "resize"]

Interpolation = Literal["bilinear", "bicubic", "lanczos"]
_Array = NDArray[np.float64]

_PRECISION = 2.0**22
"""Pillow counts weights in this fraction."""


def _triangle(x: _Array) -> _Array:
    weights: _Array = np.maximum(1 - np.abs(x), 0.0)
    return weights


def _cubic(x: _Array, a: float = -0.5) -> _Array:
    """Keys' cubic kernel with Pillow's constant."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: _Array) -> _Array:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_FILTERS: dict[str, tuple[Callable[[_Array], _Array], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Kernel and its half width at the original size."""


@lru_cache(maxsize=32)
def _weights(old: int, new: int, interpolation: str) -> Tensor:
    """Return the (new, old) matrix of one pass; a smaller size widens the kernel (antialiasing)."""
    kernel, half_width = _FILTERS[interpolation]
    scale = old / new
    widen = max(scale, 1.0)
    centers = (np.arange(new)[:, None] + 0.5) * scale
    first = np.maximum((centers - half_width * widen + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + half_width * widen + 0.5).astype(np.int64), old)
    places = np.arange(old)[None, :]
    raw = kernel((places - centers + 0.5) / widen) * ((places >= first) & (places < last))
    weights = raw / raw.sum(axis=1, keepdims=True)
    return torch.from_numpy(np.trunc(weights * _PRECISION + np.copysign(0.5, weights)) / _PRECISION)


def resize(images: Tensor, size: int | tuple[int, int], interpolation: Interpolation = "bicubic") -> Tensor:
    """Resize integer images (B, C, H, W) in [0, 255] to integer images (B, C, size, size), or of a height and width.

    The aspect ratio is not kept. The result equals ``PIL.Image.resize`` and is in float64, or in float32 on devices
    without float64, where single pixels may be off by one.

    Raises:
        ValueError: the interpolation is unknown.
    """
    if interpolation not in _FILTERS:
        raise InputError(nearest(interpolation, _FILTERS, kind="interpolation"))
    # Metal has no float64
    images = images.to(torch.float32 if images.device.type == "mps" else torch.float64)
    (height, width), (rows, columns) = images.shape[-2:], (size, size) if isinstance(size, int) else size
    if width != columns:
        images = _rounded(images @ _weights(width, columns, interpolation).to(images).T)
    if height != rows:
        images = _rounded(_weights(height, rows, interpolation).to(images) @ images)
    return images


def _rounded(pixels: Tensor) -> Tensor:
    return pixels.add_(0.5).floor_().clamp_(0, 255)
