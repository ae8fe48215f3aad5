"""Fifteen common corruptions at five severities (Hendrycks and Dietterich, ICLR 2019).

Source: https://arxiv.org/abs/1903.12261. Strengths are the authors' for images of 64 pixels
(Tiny-ImageNet-C); lengths scale with the shorter side of the image. Written from scratch on NumPy, SciPy and Pillow.

Differs from the authors' code: frost is a synthetic texture instead of photographs; motion blur and snow
interpolate along the line instead of calling ImageMagick; the side of the fog's fractal is the next power of two.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError
from tlzoo.randomness import Stream, numpy_generator
from tlzoo.spelling import nearest

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupt"]

SEVERITIES = (1, 2, 3, 4, 5)

_SIDE = 64
"""Side, in pixels, of the images for which the strengths were chosen."""

Picture = NDArray[np.float64]
Corruption = Callable[[Picture, Any, np.random.Generator], Picture]


def corrupt(images: NDArray[np.uint8], name: str, severity: int, *, seed: int = 0, first: int = 0) -> NDArray[np.uint8]:
    """Return corrupted images.

    Args:
        images: (N, H, W, C), uint8, with 1 or 3 channels.
        name: one of :data:`CORRUPTIONS`.
        severity: from 1 to 5.
        seed: the random numbers of an image only depend on (seed, name, index); severities share them.
        first: index of the first image in its set.

    Raises:
        ValueError: the name is unknown, the severity is outside 1 to 5, or shape or type of the images do not fit.

    >>> gray = np.full((1, 8, 8, 3), 128, dtype=np.uint8)
    >>> corrupt(gray, "brightness", 1)[0, 0, 0].tolist()
    [154, 154, 154]
    """
    if name not in CORRUPTIONS:
        raise InputError(nearest(name, CORRUPTIONS, kind="corruption"))
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity}; expected a whole number from 1 to 5")
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3):
        raise InputError(
            f"pictures of shape {images.shape} and type {images.dtype}; expected uint8 (N, H, W, C), C being 1 or 3"
        )
    function, strengths = CORRUPTIONS[name]
    changed = np.empty_like(images)
    for place, image in enumerate(images):
        random = numpy_generator(seed, Stream.CORRUPTIONS, name, first + place)
        values = function(image / 255.0, strengths[severity - 1], random)
        changed[place] = np.round(np.clip(values, 0, 1) * 255)
    return changed


def _gaussian_noise(image: Picture, deviation: float, random: np.random.Generator) -> Picture:
    return image + random.normal(scale=deviation, size=image.shape)


def _shot_noise(image: Picture, photons: float, random: np.random.Generator) -> Picture:
    return random.poisson(image * photons) / photons


def _impulse_noise(image: Picture, share: float, random: np.random.Generator) -> Picture:
    """Set a share of the values to 0 or 1, equally often."""
    drawn = random.random(image.shape)
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, image))


def _defocus_blur(image: Picture, strength: tuple[float, float], _: np.random.Generator) -> Picture:
    """Convolve with a disk (radius in pixels) with a soft edge (deviation in pixels)."""
    from scipy.ndimage import convolve, gaussian_filter

    radius, softness = (length * _scale(image) for length in strength)
    reach = int(np.ceil(radius)) + 2
    across = np.arange(-reach, reach + 1)
    disk = (across[:, None] ** 2 + across**2 <= radius**2).astype(float)
    kernel = gaussian_filter(disk / disk.sum(), softness)
    return np.asarray(convolve(image, kernel[..., None] / kernel.sum(), mode="mirror"))


def _glass_blur(image: Picture, strength: tuple[float, float, int], random: np.random.Generator) -> Picture:
    """Blur, repeatedly swap pixels with others nearby, and blur again."""
    deviation, distance, rounds = strength
    reach = max(round(distance * _scale(image)), 1)
    height, width = image.shape[:2]
    blurred = _blurred(image, deviation * _scale(image))
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    for _ in range(rounds):
        moved = random.integers(-reach, reach, size=(2, height, width))
        for row, column in zip(rows.flat, columns.flat, strict=True):
            other_row = min(max(row + moved[0, row, column], 0), height - 1)
            other_column = min(max(column + moved[1, row, column], 0), width - 1)
            here, there = blurred[row, column].copy(), blurred[other_row, other_column].copy()
            blurred[row, column], blurred[other_row, other_column] = there, here
    return _blurred(blurred, deviation * _scale(image))


def _motion_blur(image: Picture, strength: tuple[float, float], random: np.random.Generator) -> Picture:
    radius, deviation = (length * _scale(image) for length in strength)
    return _smeared(image, radius, deviation, random.uniform(-45, 45))


def _zoom_blur(image: Picture, most: float, _: np.random.Generator) -> Picture:
    """Average the image with versions zoomed in by steps of 1 %."""
    factors = np.arange(1, most, 0.01)
    return np.asarray(np.mean([image, *(_zoomed(image, factor) for factor in factors)], axis=0))


def _snow(image: Picture, strength: tuple[float, ...], random: np.random.Generator) -> Picture:
    """Whiten the image, and add falling streaks: thresholded noise, zoomed and smeared."""
    mean, deviation, zoom, threshold, radius, blur, kept = strength
    flakes = _zoomed(random.normal(mean, deviation, size=(*image.shape[:2], 1)), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    flakes = _smeared(flakes, radius * _scale(image), blur * _scale(image), random.uniform(-135, -45))
    gray = image.mean(axis=2, keepdims=True)
    whitened = kept * image + (1 - kept) * np.maximum(image, 1.5 * gray + 0.5)
    return np.asarray(whitened + flakes + np.rot90(flakes, 2))


def _frost(image: Picture, strength: tuple[float, float], random: np.random.Generator) -> Picture:
    """Mix the image with ice: bluish white ridges of a fractal."""
    kept, added = strength
    ridges = 1 - np.abs(2 * _plasma(image.shape[:2], 2.0, random) - 1)
    ice = np.clip(0.35 + 0.65 * ridges**2, 0, 1)[..., None]
    color = np.array([0.86, 0.93, 1.0]) if image.shape[2] == 3 else np.ones(1)
    return np.asarray(kept * image + added * ice * color)


def _fog(image: Picture, strength: tuple[float, float], random: np.random.Generator) -> Picture:
    amount, decay = strength
    most = image.max()
    fogged = image + amount * _plasma(image.shape[:2], decay, random)[..., None]
    return np.asarray(fogged * most / (most + amount))


def _brightness(image: Picture, added: float, _: np.random.Generator) -> Picture:
    """Add to the value of (hue, saturation, value): the largest channel; black becomes gray."""
    value = image.max(axis=2, keepdims=True)
    brighter = np.minimum(value + added, 1)
    return np.asarray(np.where(value > 0, image * brighter / np.where(value > 0, value, 1), brighter))


def _contrast(image: Picture, kept: float, _: np.random.Generator) -> Picture:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray((image - mean) * kept + mean)


def _elastic_transform(image: Picture, strength: tuple[float, ...], random: np.random.Generator) -> Picture:
    """Apply a random affine map to the image, then shift every pixel by a smooth random field.

    Strengths are shares of the side: amplitude and smoothness of the field, and the largest shift of a corner.
    """
    from scipy.ndimage import gaussian_filter

    side = min(image.shape[:2])
    amplitude, smoothness, corner = (share * side for share in strength)
    center, reach = np.array(image.shape[:2]) // 2, side // 3
    corners = center + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + random.uniform(-corner, corner, size=corners.shape)
    back = np.linalg.solve(np.c_[moved, np.ones(3)], corners)  # the position that each pixel of the result comes from
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape[:2]), indexing="ij"), axis=-1)
    mapped = _sampled(image, grid @ back[:2] + back[2])
    if amplitude == 0:
        return mapped
    field = random.uniform(-1, 1, size=(2, *image.shape[:2]))
    steps = [amplitude * gaussian_filter(part, smoothness, mode="reflect", truncate=3) for part in field]
    return _sampled(mapped, grid + np.stack(steps, axis=-1))


def _pixelate(image: Picture, share: float, _: np.random.Generator) -> Picture:
    """Average over boxes, whose number per side is a share of the side, and enlarge them again."""
    from PIL import Image

    height, width = image.shape[:2]
    picture = _pillow(image)
    small = picture.resize((max(int(width * share), 1), max(int(height * share), 1)), Image.Resampling.BOX)
    return _from_pillow(small.resize((width, height), Image.Resampling.NEAREST))


def _jpeg_compression(image: Picture, quality: int, _: np.random.Generator) -> Picture:
    from PIL import Image

    file = io.BytesIO()
    _pillow(image).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return _from_pillow(picture)


CORRUPTIONS: dict[str, tuple[Corruption, tuple[Any, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.08, 0.12, 0.15, 0.18)),
    "shot_noise": (_shot_noise, (250, 100, 50, 30, 15)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.05, 0.08, 0.14)),
    "defocus_blur": (_defocus_blur, ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1))),
    "glass_blur": (_glass_blur, ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2))),
    "motion_blur": (_motion_blur, ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3))),
    "zoom_blur": (_zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": (
        _snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ),
    ),
    "frost": (_frost, ((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55))),
    "fog": (_fog, ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75))),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": (
        _elastic_transform,
        ((0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02)),
    ),
    "pixelate": (_pixelate, (0.9, 0.8, 0.7, 0.6, 0.5)),
    "jpeg_compression": (_jpeg_compression, (65, 58, 50, 40, 25)),
}
"""Name -> the corruption and its strengths at severities 1 to 5."""


def _scale(image: Picture) -> float:
    return float(min(image.shape[:2]) / _SIDE)


def _blurred(image: Picture, deviation: float) -> Picture:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, (deviation, deviation, 0), mode="nearest"))


def _smeared(image: Picture, radius: float, deviation: float, degrees: float) -> Picture:
    """Average along a line from each pixel, with Gaussian weights (deviation in pixels)."""
    from scipy.ndimage import shift

    steps = np.arange(0, max(radius, 0) + 1)
    weights = np.exp(-(steps**2) / (2 * max(deviation, 1e-6) ** 2))
    angle = np.deg2rad(degrees)
    total = np.zeros_like(image)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        if weight > 1e-4:
            along = (step * np.sin(angle), step * np.cos(angle), 0)
            total += weight * shift(image, along, order=1, mode="nearest")
    return total


def _zoomed(image: Picture, factor: float) -> Picture:
    """Enlarge the center of an image by a factor of at least 1, and keep its size."""
    height, width = image.shape[:2]
    rows, columns = ((np.arange(n) - (n - 1) / 2) / factor + (n - 1) / 2 for n in (height, width))
    return _sampled(image, np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1))


def _sampled(image: Picture, places: Picture) -> Picture:
    """Return the image (H, W, C), interpolated at positions (H, W, 2) and mirrored beyond its edges."""
    from scipy.ndimage import map_coordinates

    where = np.moveaxis(places, 2, 0)
    channels = [map_coordinates(channel, where, order=1, mode="mirror") for channel in np.moveaxis(image, 2, 0)]
    return np.stack(channels, axis=2)


def _plasma(shape: tuple[int, ...], decay: float, random: np.random.Generator) -> Picture:
    """Return a fractal by the diamond-square algorithm (Fournier et al., CACM 1982) in [0, 1], cropped to a shape."""
    size = 1 << (max(shape) - 1).bit_length()
    height = np.zeros((size, size))
    step, roughness = size, 1.0

    def settled(corners: Picture) -> Picture:
        return corners / 4 + roughness * random.uniform(-1, 1, size=corners.shape)

    while step >= 2:
        half = step // 2
        corners = height[::step, ::step]
        beside = corners + np.roll(corners, -1, axis=1)
        height[half::step, half::step] = settled(beside + np.roll(beside, -1, axis=0))
        centers = height[half::step, half::step]
        height[::step, half::step] = settled(
            corners + np.roll(corners, -1, axis=1) + centers + np.roll(centers, 1, axis=0)
        )
        height[half::step, ::step] = settled(
            corners + np.roll(corners, -1, axis=0) + centers + np.roll(centers, 1, axis=1)
        )
        step, roughness = half, roughness / decay
    height -= height.min()
    cut: Picture = (height / max(height.max(), 1e-12))[: shape[0], : shape[1]]
    return cut


def _pillow(image: Picture) -> Any:
    from PIL import Image

    values = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def _from_pillow(picture: Any) -> Picture:
    values = np.asarray(picture, dtype=np.float64) / 255
    return values[..., None] if values.ndim == 2 else values
