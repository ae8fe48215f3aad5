"""How training pictures are changed at random: ``module.augment`` of a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from tlzoo.bench.cell import Cell
from tlzoo.bench.tuning import plain
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_at_least, check_counts, check_flags, check_positive, check_shares

__all__ = ["affine", "augmentation", "crop_and_flip"]


def augmentation(cell: Cell) -> Callable[[Any], Any] | None:
    """Return the change of training pictures that a cell gives; None for none.

    ``affine`` holds the settings of :func:`affine`, all others are those of :func:`crop_and_flip`. With both, the
    picture is first warped, then cropped.

    Raises:
        ValueError: the settings are others.
    """
    given = cell.module.get("augment")
    if given is None:
        return None
    settings = plain(given)
    crop = {name: value for name, value in settings.items() if name != "affine"} if isinstance(settings, dict) else {}
    warps = settings.get("affine") if isinstance(settings, dict) else None
    wrong_crop = {*crop} - {"size", "scale", "padding", "flip"} or bool(crop) != ("size" in crop)
    wrong_warp = warps is not None and (not isinstance(warps, dict) or {*warps} - {*signature(affine).parameters})
    if wrong_crop or wrong_warp or not (crop or warps):
        raise InputError(
            f"augment is {settings!r}; expected {{size: 224, scale: [0.08, 1.0]}} or {{size: 32, padding: 4}}, and "
            "flip: false where pictures are not to be mirrored; or {affine: {degrees: 10, translate: 0.1}}, which also "
            "takes scale and shear"
        )
    from torchvision.transforms import v2

    steps = [*([affine(**warps)] if warps else []), *([crop_and_flip(**crop)] if crop else [])]
    composed: Callable[[Any], Any] = v2.Compose(steps)
    return composed


def affine(
    *, degrees: float = 0.0, translate: float = 0.0, scale: Sequence[float] | None = None, shear: float = 0.0
) -> Callable[[Any], Any]:
    """Return random affine warps of a picture about its center, by bilinear interpolation; new areas are black.

    Args:
        degrees: greatest rotation, to both sides.
        translate: greatest shift, as a share of height and width.
        scale: least and greatest factor of the size; None keeps it.
        shear: greatest angle of the shear along each axis, in degrees.

    Raises:
        ValueError: a setting is out of range.
    """
    from torchvision.transforms import v2

    check_at_least(0.0, degrees=degrees, shear=shear)
    check_shares(translate=translate)
    if scale is not None:
        low, high = scale
        check_positive(scale=low)
        check_positive(scale=high)
    warp: Callable[[Any], Any] = v2.RandomAffine(
        degrees,
        translate=(translate, translate),
        scale=None if scale is None else (low, high),
        shear=[-shear, shear, -shear, shear] if shear else None,
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    return warp


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
