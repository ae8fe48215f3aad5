"""Pictures turned by 90, 180 and 270 degrees as classes of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.errors import InputError
from tlzoo.inputs import Indices, Inputs, Parts
from tlzoo.supervision import is_withheld

__all__ = ["TURNS", "with_quarter_turns"]

TURNS = 4
"""How many times as many classes there are."""


def with_quarter_turns(examples: ExampleSet) -> ExampleSet:
    """Return pictures with their turned copies, each turn of a class as a new class.

    The usual augmentation of Omniglot's classes (Santoro et al., ICML 2016, https://arxiv.org/abs/1605.06065). A turned
    picture keeps its domain and its attributes, so an episode within an alphabet may mix turns; it is turned when it is
    read.

    Args:
        examples: N labelled square pictures of C classes.

    Returns:
        4 N pictures: the given ones, then all of them turned once, twice and three times. Labels of the turned ones
        go on after the largest label.

    Raises:
        ValueError: the examples are no pictures, or have no labels; when pictures are read: they are not square.
    """
    if examples.modality != "image":
        raise InputError(f"quarter turns are of pictures, the examples are {examples.modality}; leave turns out")
    if examples.labels is None:
        raise InputError("quarter turns make new classes, and the examples have no labels; give labels")
    attributes = {} if is_withheld(examples, "attributes") else examples.attributes
    step = int(examples.labels.max(initial=-1)) + 1
    labels = [np.where(examples.labels < 0, -1, examples.labels + turn * step) for turn in range(TURNS)]
    return ExampleSet(
        inputs=Parts([examples.inputs, *(_Turned(examples.inputs, turn) for turn in range(1, TURNS))]),
        modality="image",
        labels=np.concatenate(labels),
        domains=None if examples.domains is None else np.tile(examples.domains, TURNS),
        attributes={name: np.concatenate([column] * TURNS) for name, column in attributes.items()},
        checksum=content_hash("quarter turns", examples.checksum),
    )


class _Turned:
    """Pictures (N, H, W, C) turned counterclockwise when they are read."""

    def __init__(self, inputs: Inputs, turn: int) -> None:
        self.inputs, self.turn = inputs, turn

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, indices: Indices) -> NDArray[Any]:
        pictures = np.asarray(self.inputs[indices])
        if pictures.shape[1] != pictures.shape[2]:
            raise InputError(
                f"quarter turns need square pictures; these are {pictures.shape[1]} x {pictures.shape[2]} pixels"
            )
        return np.rot90(pictures, self.turn, axes=(1, 2))
