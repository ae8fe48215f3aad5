"""Answers to new items: files, arrays or texts in, class names and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.backbones import create_backbone
from tlzoo.backbones.extraction import extract
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.pictures import ImageFiles
from tlzoo.errors import InputError
from tlzoo.functional.precision import at_least_float32
from tlzoo.inputs import Indices, Inputs, as_inputs
from tlzoo.types import Modality

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData

__all__ = ["DataFacts", "Predictions", "as_predictions", "as_values"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Answers to N items.

    Attributes:
        probabilities: (N, C), float32; the softmax of the scores where a method gives scores.
        class_names: one per class; empty if the data have none.
        values: (N, T) the answers of a regression, in the unit of its labels, with no probabilities beside; otherwise
            None.
    """

    probabilities: NDArray[np.floating[Any]]
    class_names: tuple[str, ...] = ()
    values: NDArray[np.floating[Any]] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most probable class (N,) of each item.

        Raises:
            ValueError: the answers are those of a regression.
        """
        if self.values is not None:
            raise InputError("a regression has no classes; see its values")
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def names(self) -> list[str]:
        """The name of the most probable class of each item; its index where classes have no names."""
        return [self.class_names[label] if self.class_names else str(label) for label in self.labels]


def as_predictions(parts: Sequence[Tensor], class_names: Sequence[str], *, num_classes: int) -> Predictions:
    """Return probabilities (B, C) of several batches as one answer."""
    found = torch.cat(list(parts)).detach().cpu() if parts else torch.empty(0, num_classes)
    return Predictions(probabilities=at_least_float32(found).numpy(), class_names=tuple(class_names))


def as_values(parts: Sequence[Tensor], *, num_values: int) -> Predictions:
    """Return values (B, T) of several batches as one answer."""
    found = torch.cat(list(parts)).detach().cpu() if parts else torch.empty(0, num_values)
    values = at_least_float32(found).numpy()
    return Predictions(probabilities=np.empty((len(values), 0), dtype=np.float32), values=values)


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
    def of(cls, data: TaskData[Any]) -> Self:
        """Return the facts of a data module."""
        examples: ExampleSet = next(each for each in data.raw.sets().values() if len(each))
        pictured = examples.modality == "image"
        return cls(
            modality=examples.modality,
            class_names=tuple(data.raw.class_names),
            features=data.features if data.features is None or isinstance(data.features, str) else _UNNAMED,
            image_size=int(examples.inputs[np.arange(1)].shape[1]) if pictured else None,
        )

    def batches(self, items: Any, batch_size: int | None, *, dtype: torch.dtype = torch.float32) -> Iterator[Any]:
        """Yield what the network is given for raw items, or for features of the frozen backbone.

        Args:
            items: as the task's were: files or uint8 pictures (N, H, W, C), texts, series (N, time, channels), features
                (N, D). Where the network takes features of a frozen backbone, raw items or the features themselves.
            batch_size: items per batch; None for all at once.
            dtype: type of series and features.

        Raises:
            ValueError: items of another kind, or raw ones where the frozen backbone has no name to be made by.
        """
        inputs, modality = self.inputs(items)
        if self.features is not None and modality != "features":
            inputs, modality = self._features(inputs), "features"
        size = batch_size or max(len(inputs), 1)
        for first in range(0, len(inputs), size):
            rows = np.arange(first, min(first + size, len(inputs)))
            yield self.tensor(inputs, rows, modality, dtype=dtype)

    def tensor(
        self, inputs: Inputs, rows: Sequence[int] | Indices, modality: Modality, *, dtype: torch.dtype = torch.float32
    ) -> Any:
        """Return some rows of inputs as the network takes them: a tensor, or a list of texts."""
        part = np.asarray(inputs[np.asarray(rows, dtype=np.int64)])
        if part.dtype.kind in "OUS":
            return part.tolist()
        numbers = torch.from_numpy(np.ascontiguousarray(part))
        return numbers if modality == "image" else numbers.to(dtype)

    def inputs(self, items: Any) -> tuple[Inputs, Modality]:
        """Return new items by position, and what they are: the modality of the task, or features of its backbone."""
        if self.modality == "image" and _are_files(items):
            assert self.image_size is not None
            return ImageFiles([Path(file) for file in items], size=self.image_size), "image"
        if self.features is not None and getattr(items, "ndim", 0) == 2:
            return as_inputs(items, "features"), "features"
        return as_inputs(items, self.modality), self.modality

    def backbone_name(self) -> str:
        """Return the name of the frozen backbone.

        Raises:
            ValueError: it was given as an object.
        """
        if not self.features:
            raise InputError(
                "the frozen backbone was given as an object, which is not stored with the module; pass its features "
                "(N, D), or train on features=NAME"
            )
        return self.features

    def _features(self, inputs: Inputs) -> NDArray[np.float32]:
        backbone = create_backbone(self.backbone_name())
        found = np.empty((len(inputs), backbone.num_features), dtype=np.float32)
        extract(backbone, inputs, found, batch_size=64, on_progress=None)
        return found


_UNNAMED = ""
"""In place of the name of a backbone that was given as an object."""


def _are_files(items: Any) -> bool:
    return (
        isinstance(items, list | tuple) and bool(items) and all(isinstance(each, str | os.PathLike) for each in items)
    )
