"""Pictures in memory, of Pillow or as arrays, as uint8 with channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.pictures import colored, fitted
from tlzoo.errors import InputError

__all__ = ["as_pictures", "fitted_array", "is_picture"]

_NEAR_WHOLE = 1e-3


def is_picture(item: Any) -> bool:
    """Return whether an item is a picture of Pillow, without importing Pillow."""
    return any(cls.__module__.startswith("PIL.") and cls.__name__ == "Image" for cls in type(item).__mro__)


def fitted_array(picture: Any, size: int | None, row: int, *, what: str) -> NDArray[np.uint8]:
    """Return a picture of Pillow as (H, W, C), gray ones with one channel, at ``size`` if it is given."""
    try:
        plain = picture if picture.mode == "L" else colored(picture)
    except ValueError as error:
        raise InputError(f"{what}: the picture in row {row}: {error}") from None
    array = np.asarray(plain if size is None else fitted(plain, size))
    return array[..., None] if array.ndim == 2 else array


def as_pictures(array: NDArray[Any], *, what: str) -> NDArray[np.uint8]:
    """Return pictures (N, H, W), (N, H, W, C) or (N, C, H, W) as uint8 (N, H, W, C).

    Numbers in [0, 1] that stand for 256 levels become these levels again.

    Raises:
        ValueError: the array has another shape, or its numbers are not levels.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        raise InputError(f"{what}: pictures of shape {array.shape}; expected (N, H, W, C) or (N, C, H, W)")
    if array.shape[-1] > 4 >= array.shape[1]:
        array = array.transpose(0, 2, 3, 1)
    if array.shape[-1] not in (1, 3):
        raise InputError(f"{what}: pictures with {array.shape[-1]} channels; expected 1 (gray) or 3 (red, green, blue)")
    return np.ascontiguousarray(array if array.dtype == np.uint8 else _levels(array, what=what))


def _levels(array: NDArray[Any], *, what: str) -> NDArray[np.uint8]:
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise InputError(f"{what}: NaN or Inf in the picture in row {row}; drop or fix it")
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    scaled = array * 255.0 if array.dtype.kind == "f" and high <= 1 else array
    levels = np.rint(scaled)
    if low < 0 or high > 255 or (np.abs(scaled - levels) > _NEAR_WHOLE * 255).any():
        raise InputError(
            f"{what}: pictures are {array.dtype} from {low:g} to {high:g}; expected uint8, or numbers in [0, 1] of 256 "
            "levels: leave normalization to the network"
        )
    return levels.astype(np.uint8)
