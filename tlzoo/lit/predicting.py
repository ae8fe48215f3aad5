"""Answers to new items: files, arrays or texts in, class names and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.backbones import create_backbone
from tlzoo.backbones.extraction import extract
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.pictures import ImageFiles
from tlzoo.inputs import Inputs, as_inputs
from tlzoo.types import Modality

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData

__all__ = ["DataFacts", "Predictions"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Answers to N items.

    Attributes:
        probabilities: (N, C), float32.
        class_names: one per class; empty if the data had none.
    """

    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most probable class (N,) of each item."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def names(self) -> list[str]:
        """The name of the most probable class of each item; its index where classes have no names."""
        return [self.class_names[label] if self.class_names else str(label) for label in self.labels]


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a module must know about its training data to answer new items.

    Attributes:
        modality: of raw items.
        class_names: one per class.
        features: the frozen backbone that the network's inputs are features of, by name; None for raw inputs.
        image_size: height of raw pictures; files are resized to it.
    """

    modality: Modality
    class_names: tuple[str, ...] = ()
    features: str | None = None
    image_size: int | None = None

    @classmethod
    def of(cls, data: TaskData[Any]) -> DataFacts:
        """Return the facts of a data module."""
        examples: ExampleSet = next(each for each in data.raw.sets().values() if len(each))
        pictured = examples.modality == "image"
        return cls(
            modality=examples.modality,
            class_names=tuple(data.raw.class_names),
            features=data.features if data.features is None or isinstance(data.features, str) else _UNNAMED,
            image_size=int(examples.inputs[np.arange(1)].shape[1]) if pictured else None,
        )

    def batches(self, items: Any, batch_size: int) -> Iterator[Any]:
        """Yield what the network is given for raw items, or for features of the frozen backbone.

        Args:
            items: as the task's were: files or uint8 pictures (N, H, W, C), texts, series (N, time, channels), features
                (N, D). Where the network takes features of a frozen backbone, raw items or the features themselves.
            batch_size: items a batch.

        Raises:
            ValueError: items of another kind, or raw ones where the frozen backbone has no name to be made by.
        """
        inputs, modality = self._inputs(items)
        if self.features is not None and modality != "features":
            inputs, modality = self._features(inputs), "features"
        for first in range(0, len(inputs), batch_size):
            rows = np.arange(first, min(first + batch_size, len(inputs)))
            part = np.asarray(inputs[rows])
            if part.dtype.kind in "OUS":
                yield part.tolist()
            else:
                numbers = torch.from_numpy(np.ascontiguousarray(part))
                yield numbers if modality == "image" else numbers.float()

    def _inputs(self, items: Any) -> tuple[Inputs, Modality]:
        if self.modality == "image" and _are_files(items):
            assert self.image_size is not None
            return ImageFiles([Path(file) for file in items], size=self.image_size), "image"
        if self.features is not None and getattr(items, "ndim", 0) == 2:
            return as_inputs(items, "features"), "features"
        return as_inputs(items, self.modality), self.modality

    def _features(self, inputs: Inputs) -> NDArray[np.float32]:
        if self.features == _UNNAMED:
            raise ValueError(
                "the frozen backbone was given as an object, which is not stored with the module; pass its features "
                "(N, D), or train on features=NAME"
            )
        backbone = create_backbone(str(self.features))
        found = np.empty((len(inputs), backbone.num_features), dtype=np.float32)
        extract(backbone, inputs, found, batch_size=64, on_progress=None)
        return found


_UNNAMED = ""
"""In place of the name of a backbone that was given as an object."""


def _are_files(items: Any) -> bool:
    return (
        isinstance(items, list | tuple) and bool(items) and all(isinstance(each, str | os.PathLike) for each in items)
    )
