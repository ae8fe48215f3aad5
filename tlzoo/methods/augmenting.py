"""Changed versions of test inputs, by a user's function or as a view of the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.data.augment import VIEWS, augment
from tlzoo.functional.checks import check_choice
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["Augment", "changed", "check_augment"]

Augment = Callable[[Any, torch.Generator], Any]
"""Maps inputs (B, ...) and a generator to changed inputs of the same shape."""


def check_augment(how: Augment | str | None) -> None:
    """Check the setting of a method.

    Raises:
        ValueError: it is the name of no view.
    """
    if isinstance(how, str):
        check_choice(how, VIEWS, what="augment")


def changed(how: Augment | str, inputs: Any, generator: torch.Generator) -> Any:
    """Return changed inputs (B, ...).

    Args:
        how: a function, or the name of a view of :func:`tlzoo.data.augment.augment`, ``"weak"`` or ``"strong"``. Views
            exist of uint8 pictures (B, H, W, C), series (B, time, channels) and features (B, D); pictures are not
            mirrored, because a mirror image may have another class.
        inputs: a batch.
        generator: source of all randomness.

    Raises:
        ValueError: there are no views of such inputs.

    >>> pictures = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    >>> changed("weak", pictures, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 8, 8, 3])
    """
    if not isinstance(how, str):
        return how(inputs, generator)
    modality = _modality(inputs)
    random = numpy_generator(int(torch.randint(2**31 - 1, (), generator=generator)), Stream.VIEWS)
    items = (inputs.detach().float() if inputs.is_floating_point() else inputs).cpu().numpy()
    found = torch.from_numpy(np.stack([augment(item, how, modality, random) for item in items]))
    return found.to(inputs)


def _modality(inputs: Any) -> str:
    kinds = {(4, False): "image", (3, True): "series", (2, True): "features"}
    if isinstance(inputs, Tensor):
        kind = kinds.get((inputs.ndim, inputs.is_floating_point()))
        if kind is not None and (kind != "image" or inputs.dtype == torch.uint8):
            return kind
    what = f"{inputs.dtype} {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
    raise ValueError(
        f"no views of inputs {what}; expected uint8 pictures (B, H, W, C), series (B, time, channels) or features "
        "(B, D): of others, give augment as a function of inputs and a torch.Generator"
    )
