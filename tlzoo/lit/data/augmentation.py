"""Random changes of training pictures, by transforms of torchvision or timm."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.errors import InputError, InputTypeError
from tlzoo.randomness import Stream, derived_seed
from tlzoo.types import Examples

__all__ = ["Augmentation"]


class Augmentation:
    """Applies a transform to each picture of a training batch; what it draws depends on seed, side and step alone.

    Args:
        transform: maps a PIL image to one, or to a tensor (C, H, W): ``torchvision.transforms.v2``,
            ``timm.data.create_transform(..., is_training=True, normalize=False)``, or any function. All results have
            one size. Networks normalize pictures themselves, so the transform does not.
        seed: of the run.
    """

    def __init__(self, transform: Callable[[Any], Any], *, seed: int) -> None:
        self.transform, self.seed = transform, seed

    def __call__(self, examples: Examples, side: str, step: int) -> Examples:
        """Return a batch with changed pictures, see :meth:`pictures`."""
        return replace(examples, inputs=self.pictures(examples.inputs, side, step))

    def pictures(self, inputs: Any, side: str, step: int) -> Tensor:
        """Return changed pictures (B, H, W, C), uint8.

        Raises:
            TypeError: inputs are no pictures, or the transform returns something else.
            ValueError: results differ in size, or are normalized.
        """
        if not isinstance(inputs, Tensor) or inputs.dtype != torch.uint8 or inputs.ndim != 4:
            raise InputTypeError(
                "augment changes pictures, and batches hold no uint8 pictures (B, H, W, C); of other inputs, change "
                "them in the backbone's preprocess"
            )
        with _seeded(derived_seed(self.seed, Stream.AUGMENTATION, step, side)):
            changed = [self._changed(picture) for picture in inputs.numpy()]
        if len(sizes := {picture.shape for picture in changed}) > 1:
            raise InputError(
                f"augment returns pictures of sizes {sorted(sizes)}; end it with one that resizes or crops"
            )
        return torch.from_numpy(np.stack(changed))

    def _changed(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL import Image

        gray = picture.shape[2] == 1
        found = self.transform(Image.fromarray(picture[:, :, 0] if gray else picture))
        if isinstance(found, Tensor):
            return _pixels(found)
        if not isinstance(found, Image.Image):
            raise InputTypeError(
                f"augment returned a {type(found).__name__}; expected a PIL image or a tensor (C, H, W)"
            )
        pixels: NDArray[np.uint8] = np.array(found, dtype=np.uint8)
        return pixels if pixels.ndim == 3 else pixels[:, :, None]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, from which transforms draw, for the code inside."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    """Return a tensor (C, H, W) as uint8 pixels (H, W, C)."""
    if picture.is_floating_point():
        if picture.min() < 0 or picture.max() > 1:
            raise InputError(
                f"augment returned numbers from {picture.min():.3g} to {picture.max():.3g}; expected pixels: leave "
                "normalization out, networks do it themselves"
            )
        picture = (picture * 255).round().to(torch.uint8)
    pixels: NDArray[np.uint8] = picture.permute(1, 2, 0).contiguous().numpy()
    return pixels
