"""Handwritten digits from two collections, and images with two digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask, MultitaskTask, Target

__all__ = ["DIGIT_SETS", "digits_adaptation", "framed", "load_digits", "multidigits", "read_digits"]

SIZE = 32
_FRAMED = 24
_REVISION = 2
_PAIRS_REVISION = 1
_TRAIN_SHARE = 0.7
Digits = tuple[NDArray[Any], NDArray[np.int64]]
"""Pictures (N, H, W), brightness from 0 to 255, and labels (N,)."""

_CLASS_NAMES = tuple("0123456789")
_MNIST_SIZE = 28
_CANVAS = 36
_PAIRS = {"train": (3000, 6000), "validation": (500, 1000), "test": (1500, 2000)}
"""Part -> number of digits that it uses (disjoint), number of images."""


def digits_adaptation(name: str, *, source: str, target: str) -> DomainTask:
    """Build ``digits:S->T``: 32x32 grayscale, 70 % of each collection trained on, the others are the test.

    Digits of both collections are framed alike, see :func:`framed`: until revision 2 those of one filled the picture
    and those of the other did not, which was most of what adaptation had to make up for.
    """
    first, second = load_digits(source), load_digits(target)
    source_parts, target_parts = random_split(len(first), _TRAIN_SHARE), random_split(len(second), _TRAIN_SHARE)
    return DomainTask(
        name=name,
        class_names=_CLASS_NAMES,
        sources=(source, target),
        source_train=first.subset(source_parts[0]),
        source_test=first.subset(source_parts[1]),
        target_train=second.subset(target_parts[0]),
        target_test=second.subset(target_parts[1]),
    )


def multidigits(name: str) -> MultitaskTask:
    """Build ``multidigits`` as in MultiMNIST: two overlaid MNIST digits, one task each.

    The digits (28x28) lie in the top left and bottom right corners of a 36x36 canvas, where the brighter pixel wins.
    The canvas is resized to 32x32 (bilinear). Training, validation and test use different digits, and a fixed seed
    determines the pairs. Targets: ``left`` (top left) and ``right`` (bottom right).
    Source: Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018.
    """
    identity = content_hash(_PAIRS_REVISION, sources.find_source("mnist5k").identity, _PAIRS, _CANVAS, SIZE)
    folder = derived_folder("multidigits", identity, _write_pairs)
    parts = {part: _read_pairs(folder / f"{part}.npz", content_hash(identity, part)) for part in _PAIRS}
    return MultitaskTask(
        name=name,
        class_names=_CLASS_NAMES,
        sources=("mnist5k",),
        targets={"left": Target(classes=10), "right": Target(classes=10)},
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )


def load_digits(name: str) -> ExampleSet:
    """Return a collection (see :data:`DIGIT_SETS`) as uint8 pictures (N, 32, 32, 1), framed, with labels.

    Raises:
        KeyError: there is no such collection.
        SourceError: its source cannot be fetched or is damaged.
    """
    source = sources.find_source(name)
    # an installed package has no pinned hash; its file is small enough to hash every time
    content = source.sha256 or content_hash(sources.path(name).read_bytes())
    identity = content_hash(_REVISION, content, SIZE, _FRAMED, "bicubic")

    def write(folder: Path) -> None:
        pictures, labels = read_digits(name)
        np.savez(folder / "digits.npz", pictures=framed(pictures)[..., None], labels=labels)

    with np.load(derived_folder(name, identity, write) / "digits.npz") as arrays:
        return ExampleSet(inputs=arrays["pictures"], modality="image", labels=arrays["labels"], checksum=identity)


def read_digits(name: str) -> Digits:
    """Return the pictures (N, H, W) of a collection as they are, brightness from 0 to 255, and their labels (N,).

    Raises:
        KeyError: there is no such collection.
        SourceError: its source cannot be fetched or is damaged.
    """
    return DIGIT_SETS[name](sources.path(name))


def framed(pictures: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pictures (N, 32, 32) whose digits have the same size and place, whatever their frame was.

    Each is cut to the box around its strokes, the longer side of which is brought to 24 pixels (bicubic), and put in
    the middle of a black picture. An empty one stays so.

    Args:
        pictures: (N, H, W), brightness from 0 to 255.
    """
    from PIL import Image

    out = np.zeros((len(pictures), SIZE, SIZE), dtype=np.uint8)
    for place, picture in enumerate(pictures):
        down, right = np.nonzero(picture)
        if not len(down):
            continue
        box = picture[down.min() : down.max() + 1, right.min() : right.max() + 1].astype(np.float32)
        height, width = (max(1, round(side * _FRAMED / max(box.shape))) for side in box.shape)
        digit = np.asarray(Image.fromarray(box).resize((width, height), Image.Resampling.BICUBIC))
        top, left = (SIZE - height) // 2, (SIZE - width) // 2
        out[place, top : top + height, left : left + width] = np.rint(digit).clip(0, 255)
    return out


def _read_mnist5k(file: Path) -> Digits:
    table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, _MNIST_SIZE, _MNIST_SIZE).astype(np.uint8), table[:, -1]


def _read_optdigits(file: Path) -> Digits:
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return table[:, :-1].reshape(-1, 8, 8) / 16 * 255, table[:, -1].astype(np.int64)


DIGIT_SETS: dict[str, Callable[[Path], Digits]] = {"mnist5k": _read_mnist5k, "optdigits": _read_optdigits}
"""Name (that of the source, too) -> its reader."""


def _resized(pictures: NDArray[Any]) -> NDArray[np.uint8]:
    """Resize (N, H, W) to (N, 32, 32), bilinear."""
    from PIL import Image

    size, method = (SIZE, SIZE), Image.Resampling.BILINEAR
    resized = [np.asarray(Image.fromarray(p.astype(np.float32)).resize(size, method)) for p in pictures]
    rounded: NDArray[np.uint8] = np.rint(np.stack(resized)).clip(0, 255).astype(np.uint8)
    return rounded


def _write_pairs(folder: Path) -> None:
    pictures, labels = read_digits("mnist5k")
    random = np.random.default_rng(0)
    order, first = random.permutation(len(pictures)), 0
    for part, (count, pairs) in _PAIRS.items():
        members = order[first : first + count]
        left, right = members[random.integers(count, size=(2, pairs))]
        np.savez(
            folder / f"{part}.npz",
            pictures=_resized(_overlaid(pictures[left], pictures[right]))[..., None],
            left=labels[left],
            right=labels[right],
            left_digit=left,
            right_digit=right,
        )
        first += count


def _overlaid(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Overlay (N, 28, 28) twice into (N, 36, 36)."""
    canvas = np.zeros((2, len(left), _CANVAS, _CANVAS), dtype=np.uint8)
    canvas[0, :, :_MNIST_SIZE, :_MNIST_SIZE] = left
    canvas[1, :, -_MNIST_SIZE:, -_MNIST_SIZE:] = right
    overlaid: NDArray[np.uint8] = np.maximum(canvas[0], canvas[1])
    return overlaid


def _read_pairs(file: Path, identity: str) -> ExampleSet:
    with np.load(file) as arrays:
        return ExampleSet(
            inputs=arrays["pictures"],
            modality="image",
            targets={"left": arrays["left"], "right": arrays["right"]},
            attributes={"left_digit": arrays["left_digit"], "right_digit": arrays["right_digit"]},
            checksum=identity,
        )
