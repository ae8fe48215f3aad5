"""Augmented views of a set's items, for methods that need them: drawn on demand or stored beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.data.augment import VIEWS, augment
from tlzoo.data.example_set import ExampleSet
from tlzoo.inputs import Inputs
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["AugmentedInputs", "DrawnViews", "StoredViews", "Views"]

Indices = NDArray[np.int64]


class Views(Protocol):
    """The views of a set's items; they depend only on seed, step and index."""

    def __call__(self, indices: Indices, step: int) -> dict[str, Tensor]:
        """Return by name the views (B, ...) of the items at ``indices`` in a training step."""
        ...


class DrawnViews:
    """Views of raw items or of features; every step draws new ones.

    Args:
        examples: the items.
        seed: of the draws.
        mirrored: whether pictures may be mirrored.
        names: of the views; ``strong again`` is another strong one.
    """

    def __init__(
        self, examples: ExampleSet, *, seed: int, mirrored: bool = False, names: Sequence[str] = VIEWS
    ) -> None:
        self.inputs, self.modality = examples.inputs, examples.modality
        self.seed, self.mirrored, self.names = seed, mirrored, names

    def __call__(self, indices: Indices, step: int) -> dict[str, Tensor]:
        """Return by name the views (B, ...) of the items at ``indices`` in a training step."""
        items = self.inputs[indices]
        shown = {
            view: [
                self._changed(item, _kind(view), (step, int(place), number))
                for item, place in zip(items, indices, strict=True)
            ]
            for number, view in enumerate(self.names)
        }
        return {view: torch.from_numpy(np.stack(changed)) for view, changed in shown.items()}

    def _changed(self, item: Any, view: str, key: tuple[int, int, int]) -> NDArray[Any]:
        random = numpy_generator(self.seed, Stream.VIEWS, *key)
        return augment(item, view, self.modality, random, mirrored=self.mirrored)


class StoredViews:
    """A few fixed views of each item; every step draws one of them.

    Args:
        copies: name -> several copies of the set's inputs, each with another view of every item.
        seed: of the draws.
        names: of the views; ``strong again`` is another strong one, if there are two copies.
    """

    def __init__(self, copies: Mapping[str, Sequence[Inputs]], *, seed: int, names: Sequence[str] = VIEWS) -> None:
        self.copies, self.seed, self.names = dict(copies), seed, names

    def __call__(self, indices: Indices, step: int) -> dict[str, Tensor]:
        """Return by name the views (B, ...) of the items at ``indices`` in a training step."""
        shown: dict[str, Tensor] = {}
        taken: dict[str, Indices] = {}
        for number, view in enumerate(self.names):
            copies = self.copies[_kind(view)]
            random = numpy_generator(self.seed, Stream.VIEW_CHOICE, step, number)
            before, count = taken.get(_kind(view)), len(copies)
            if before is None or count == 1:
                chosen = random.integers(count, size=len(copies[0]))[indices]
            else:
                chosen = (before + 1 + random.integers(count - 1, size=len(copies[0]))[indices]) % count
            taken[_kind(view)] = chosen
            rows = np.stack([copies[copy][np.array([place])][0] for copy, place in zip(chosen, indices, strict=True)])
            shown[view] = torch.from_numpy(rows)
        return shown


class AugmentedInputs:
    """One fixed view of each raw picture, as input of a frozen backbone.

    Args:
        inputs: raw items.
        indices: (M,) the items to show; the augmentation of an item depends on its index in ``inputs``.
        view: name of the view.
        copy: number of the view among several of one item.
        modality: modality of the raw items.
        mirrored: whether pictures may be mirrored.
    """

    def __init__(
        self, inputs: Inputs, indices: Indices, *, view: str, copy: int, modality: str, mirrored: bool
    ) -> None:
        self.inputs, self.indices = inputs, indices
        self.view, self.copy, self.modality, self.mirrored = view, copy, modality, mirrored

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: Indices) -> NDArray[Any]:
        """Return the augmented items at ``indices``."""
        places = self.indices[indices]
        changed = [
            augment(item, self.view, self.modality, self._random(int(place)), mirrored=self.mirrored)
            for item, place in zip(self.inputs[places], places, strict=True)
        ]
        return np.stack(changed)

    def _random(self, place: int) -> np.random.Generator:
        return numpy_generator(0, Stream.STORED_VIEWS, VIEWS.index(self.view), self.copy, place)


def _kind(view: str) -> str:
    return view.removesuffix(" again")
