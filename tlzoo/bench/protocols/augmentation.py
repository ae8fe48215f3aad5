"""How training pictures are changed at random: ``module.augment`` of a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tlzoo.bench.cell import Cell
from tlzoo.bench.tuning import plain
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts, check_flags, check_shares

__all__ = ["augmentation", "crop_and_flip"]


def augmentation(cell: Cell) -> Callable[[Any], Any] | None:
    """Return the change of training pictures that a cell gives, the settings of :func:`crop_and_flip`; None for none.

    Raises:
        ValueError: the settings are others.
    """
    given = cell.module.get("augment")
    if given is None:
        return None
    settings = plain(given)
    if not isinstance(settings, dict) or "size" not in settings or {*settings} - {"size", "scale", "padding", "flip"}:
        raise InputError(
            f"augment is {settings!r}; expected {{size: 224, scale: [0.08, 1.0]}} or {{size: 32, padding: 4}}, and "
            "flip: false where pictures are not to be mirrored"
        )
    return crop_and_flip(**settings)


def crop_and_flip(
    *, size: int, scale: Sequence[float] | None = None, padding: int | None = None, flip: bool = True
) -> Callable[[Any], Any]:
    """Return the augmentation of published tables: a crop of a picture, mirrored half of the time.

    Args:
        size: height and width of the crop.
        scale: least and greatest share of the picture that a random crop covers, which is resized to ``size``.
        padding: pixels of black on each side before a random crop of ``size``, as of CIFAR. Without ``scale`` and
            ``padding`` the middle of the picture is taken.
        flip: whether to mirror.

    Raises:
        ValueError: a setting is out of range.
    """
    from torchvision.transforms import v2

    check_counts(size=size)
    check_flags(flip=flip)
    crop: Any = v2.CenterCrop(size)
    if scale is not None:
        low, high = scale
        check_shares(above_zero=True, scale=low)
        check_shares(above_zero=True, scale=high)
        crop = v2.RandomResizedCrop(size, scale=(low, high), antialias=True)
    elif padding is not None:
        check_counts(padding=padding)
        crop = v2.RandomCrop(size, padding=padding)
    composed: Callable[[Any], Any] = v2.Compose([crop, *([v2.RandomHorizontalFlip()] if flip else [])])
    return composed
