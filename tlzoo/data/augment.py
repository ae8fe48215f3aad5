"""Weak and strong augmentations of one raw item that keep its class, with a given random generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError

__all__ = ["REVISION", "VIEWS", "augment"]

VIEWS = ("weak", "strong")
REVISION = 2
"""Raised when the augmentations change; part of the identity of stored views."""

Item = NDArray[Any]
Change = Callable[[Item, np.random.Generator], Item]

_SHIFT = 1 / 8
_OPERATIONS = 2
_CUT = 1 / 2


def augment(item: Item, view: str, modality: str, random: np.random.Generator, *, mirrored: bool = False) -> Item:
    """Return an augmented item of the same shape and type.

    image (H, W, C) uint8: weak shifts by up to an eighth, with repeated edges, and, if ``mirrored``, mirrors half of
    the images; strong also applies two operations of RandAugment (Cubuk et al., NeurIPS 2020,
    https://arxiv.org/abs/1909.13719) with random strength, and a gray square of up to half the side, as in FixMatch.

    series (time, C): weak adds noise of 5 % of each channel's deviation; strong adds 10 %, scales each channel by a
    factor around 1 (deviation 0.2), and sets a quarter of the time to the channel's mean.

    features (D,): weak adds noise of 10 % of the item's deviation; strong adds 30 % and drops a fifth of the features.

    Args:
        item: raw item.
        view: ``weak`` or ``strong``.
        modality: modality of the item.
        random: random generator.
        mirrored: whether a mirror image has the same class.

    Raises:
        ValueError: the item is a text, for which no augmentation keeps the class.
    """
    if modality == "image":
        changed = _shifted(item, random, mirrored)
        return changed if view == "weak" else _cut(_operated(changed, random), random)
    if modality not in _ARRAYS:
        raise InputError(
            f"no augmented views of {modality} items; use features of a frozen backbone, whose views are noise and "
            "dropout, or a method without views"
        )
    changed = _ARRAYS[modality][view](item, random)
    return changed.astype(item.dtype)


def _shifted(picture: Item, random: np.random.Generator, mirrored: bool) -> Item:
    height, width = picture.shape[:2]
    down, right = round(height * _SHIFT), round(width * _SHIFT)
    padded = np.pad(picture, ((down, down), (right, right), (0, 0)), mode="edge")
    top, left = random.integers(2 * down + 1), random.integers(2 * right + 1)
    shifted = padded[top : top + height, left : left + width]
    return shifted[:, ::-1] if mirrored and random.random() < 0.5 else shifted


def _operated(picture: Item, random: np.random.Generator) -> Item:
    """Return the image after two random operations with random strengths in [-1, 1]."""
    import torch  # imported here, so that listing the names of tasks needs no torchvision

    tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    for operation in random.choice(len(_PICTURE_OPERATIONS), size=_OPERATIONS):
        tensor = _PICTURE_OPERATIONS[operation](tensor, float(random.uniform(-1, 1)))
    changed: Item = tensor.numpy().transpose(1, 2, 0)
    return changed


def _cut(picture: Item, random: np.random.Generator) -> Item:
    height, width = picture.shape[:2]
    side = round(min(height, width) * _CUT * random.random())
    middle, center = random.integers(height), random.integers(width)
    rows = slice(max(middle - side // 2, 0), middle + side - side // 2)
    columns = slice(max(center - side // 2, 0), center + side - side // 2)
    cut = picture.copy()
    cut[rows, columns] = 127
    return cut


def _pixels() -> Any:
    from torchvision.transforms.v2 import functional

    return functional


def _affine(picture: Any, *, angle: float = 0.0, move: tuple[float, float] = (0, 0), shear: Any = (0.0, 0.0)) -> Any:
    """Return the shifted image; new areas get the color of the upper left corner."""
    height, width = picture.shape[-2:]
    return _pixels().affine(
        picture,
        angle=angle,
        translate=[round(move[0] * width), round(move[1] * height)],
        scale=1.0,
        shear=list(shear),
        fill=[float(value) for value in picture[:, 0, 0]],
    )


_PICTURE_OPERATIONS: tuple[Callable[[Any, float], Any], ...] = (
    lambda picture, _: picture,
    lambda picture, _: _pixels().autocontrast(picture),
    lambda picture, _: _pixels().equalize(picture),
    lambda picture, level: _pixels().adjust_brightness(picture, 1 + 0.9 * level),
    lambda picture, level: _pixels().adjust_contrast(picture, 1 + 0.9 * level),
    lambda picture, level: _pixels().adjust_saturation(picture, 1 + 0.9 * level),
    lambda picture, level: _pixels().adjust_sharpness(picture, 1 + 0.9 * level),
    lambda picture, level: _pixels().posterize(picture, 8 - round(4 * abs(level))),
    lambda picture, level: _pixels().solarize(picture, 255.0 * (1 - abs(level))),
    lambda picture, level: _affine(picture, angle=30 * level),
    lambda picture, level: _affine(picture, shear=(17 * level, 0.0)),
    lambda picture, level: _affine(picture, shear=(0.0, 17 * level)),
    lambda picture, level: _affine(picture, move=(0.3 * level, 0)),
    lambda picture, level: _affine(picture, move=(0, 0.3 * level)),
)


def _noisy_features(item: Item, random: np.random.Generator, share: float) -> Item:
    changed: Item = item + share * item.std() * random.standard_normal(item.shape)
    return changed


def _dropped_features(item: Item, random: np.random.Generator) -> Item:
    kept = random.random(item.shape) >= 0.2
    return _noisy_features(item, random, 0.3) * kept / 0.8


def _noisy_series(item: Item, random: np.random.Generator, share: float) -> Item:
    changed: Item = item + share * item.std(axis=0) * random.standard_normal(item.shape)
    return changed


def _scaled_series(item: Item, random: np.random.Generator) -> Item:
    changed = _noisy_series(item, random, 0.1) * random.normal(1.0, 0.2, size=item.shape[1])
    length = max(len(item) // 4, 1)
    begin = random.integers(len(item) - length + 1)
    changed[begin : begin + length] = changed.mean(axis=0)
    return changed


_ARRAYS: dict[str, dict[str, Change]] = {
    "features": {"weak": lambda item, random: _noisy_features(item, random, 0.1), "strong": _dropped_features},
    "series": {"weak": lambda item, random: _noisy_series(item, random, 0.05), "strong": _scaled_series},
}
