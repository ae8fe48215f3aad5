"""A clean collection, and its test pictures again and again under fifteen corruptions, in streams of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from tlzoo.data.datasets.digits import load_digits
from tlzoo.data.datasets.emoji import SOURCES
from tlzoo.data.datasets.emoji_tasks import emoji_adaptation
from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.functional.checks import check_choice

__all__ = ["COLLECTIONS", "STREAMS", "StreamKind", "corrupted_training_set", "corruption_stream", "in_stream"]

StreamKind = Literal["reset", "continual", "gradual", "mixed", "correlated"]
STREAMS: tuple[StreamKind, ...] = get_args(StreamKind)

_REVISION = 1
_SEVERITY = 3
_SEED = 0
_TEST, _TRAIN = 200, 1000
"""Test pictures a corruption (of the gradual stream: 216), and corrupted pictures that the target trains on."""
_SLOTS, _CONCENTRATION = 10, 0.1
_TRAIN_SHARE = 0.7

Indices = NDArray[np.int64]


class _Clean(NamedTuple):
    """A collection without corruptions."""

    train: ExampleSet
    test: ExampleSet
    class_names: tuple[str, ...]
    sources: tuple[str, ...]


class _Block(NamedTuple):
    """Test pictures that come one after the other under one corruption."""

    corruption: str
    severity: int
    places: Indices


def corruption_stream(name: str, *, collection: str, stream: StreamKind) -> DomainTask:
    """Build ``COLLECTION-c:STREAM``: trained on clean pictures, tested on a stream of corrupted ones.

    200 test pictures under each of the fifteen corruptions at severity 3 of five, 3,000 in all. The streams:

    - ``reset``: one corruption after the other, in the order of the list; the method starts anew at each.
    - ``continual``: the same without starting anew.
    - ``gradual``: each corruption grows from severity 1 to 5 and wanes again, in nine steps of 24 pictures.
    - ``mixed``: all corruptions in one random order.
    - ``correlated``: as ``continual``, with classes that come in bursts: those of a corruption are shared out to ten
      parts of it by Dirichlet draws of concentration 0.1, as in RoTTA and NOTE.

    A batch of one is a setting of the harness (``budget: {stream_batch: 1}``), not of the data. Pictures of a block
    are in an order that depends on the seed of the run, except in ``correlated``, where the order is the point. The
    target's training set holds corrupted training pictures with one corruption each, for the bound alone.

    Args:
        name: name of the task.
        collection: one of :data:`COLLECTIONS`.
        stream: one of :data:`STREAMS`.
    """
    check_choice(stream, STREAMS, what="stream")
    check_choice(collection, COLLECTIONS, what="collection")
    clean, random = COLLECTIONS[collection](), np.random.default_rng(_SEED)
    shown = random.permutation(len(clean.test))
    blocks = (
        _gradual(shown) if stream == "gradual" else [_Block(each, _SEVERITY, shown[:_TEST]) for each in CORRUPTIONS]
    )
    test = _corrupted(f"{collection}-test", clean.test, blocks)
    return DomainTask(
        name=name,
        class_names=clean.class_names,
        sources=clean.sources,
        source_train=clean.train,
        source_test=clean.test,
        target_train=corrupted_training_set(collection, clean.train, severity=_SEVERITY),
        target_test=in_stream(test, stream, [len(block.places) for block in blocks], random),
    )


def in_stream(
    examples: ExampleSet, stream: StreamKind, sizes: Sequence[int], random: np.random.Generator
) -> ExampleSet:
    """Return the pictures of blocks that come one after the other, with the attributes of their order.

    Args:
        examples: all blocks in order.
        stream: how they come.
        sizes: pictures of each block.
        random: of the bursts.
    """
    segment = np.repeat(np.arange(len(sizes)), sizes)
    place = np.full(len(examples), -1, dtype=np.int64)
    if stream == "mixed":
        segment = np.zeros_like(segment)
    elif stream == "correlated":
        assert examples.labels is not None
        place = _bursts(examples.labels, segment, random)
    columns = {"segment": segment, "place": place, "restart": np.full(len(examples), stream == "reset")}
    return _with_attributes(examples, columns)


def _gradual(shown: Indices) -> list[_Block]:
    severities = [*SEVERITIES, *SEVERITIES[-2::-1]]
    size = _TEST // len(severities) + 2
    blocks = []
    for number, corruption in enumerate(CORRUPTIONS):
        for step, severity in enumerate(severities):
            first = (number * len(severities) + step) * size
            blocks.append(_Block(corruption, severity, shown[np.arange(first, first + size) % len(shown)]))
    return blocks


def corrupted_training_set(collection: str, train: ExampleSet, *, severity: int) -> ExampleSet:
    """Return training pictures with one corruption each, in turn."""
    chosen = np.random.default_rng((_SEED, 1)).permutation(len(train))[:_TRAIN]
    parts = np.array_split(chosen, len(CORRUPTIONS))
    blocks = [_Block(corruption, severity, part) for corruption, part in zip(CORRUPTIONS, parts, strict=True)]
    return _corrupted(f"{collection}-train", train, blocks)


def _corrupted(name: str, examples: ExampleSet, blocks: list[_Block]) -> ExampleSet:
    """Return the pictures of all blocks in order; they are made once and stored."""
    assert examples.labels is not None
    identity = content_hash(_REVISION, examples.checksum, *[part for block in blocks for part in block])

    def write(folder: Path) -> None:
        made = [
            corrupt(examples.inputs[block.places], block.corruption, block.severity, first=number * _TRAIN)
            for number, block in enumerate(blocks)
        ]
        np.save(folder / "pictures.npy", np.concatenate(made))

    pictures = np.load(derived_folder(f"corrupted-{name}", identity, write) / "pictures.npy", mmap_mode="r")
    labels = np.concatenate([examples.labels[block.places] for block in blocks])
    return ExampleSet(inputs=pictures, modality="image", labels=labels, checksum=identity)


def _with_attributes(examples: ExampleSet, columns: dict[str, NDArray[np.int64] | NDArray[np.bool_]]) -> ExampleSet:
    return ExampleSet(
        inputs=examples.inputs,
        modality=examples.modality,
        labels=examples.labels,
        attributes=columns,
        checksum=examples.checksum,
    )


def _bursts(labels: Indices, segment: Indices, random: np.random.Generator) -> Indices:
    """Return the place (N,) of each item in its segment, in which classes come in bursts."""
    place = np.empty(len(labels), dtype=np.int64)
    for number in np.unique(segment):
        inside = np.flatnonzero(segment == number)
        slot, order = np.empty(len(inside), dtype=np.int64), np.empty(len(inside))
        for label in np.unique(labels[inside]):
            own = np.flatnonzero(labels[inside] == label)
            cuts = np.cumsum(random.dirichlet(np.full(_SLOTS, _CONCENTRATION)))[:-1] * len(own)
            slot[random.permutation(own)] = np.searchsorted(cuts, np.arange(len(own)), side="right")
            # a class is one burst in a slot; bursts of a slot come in random order
            order[own] = random.random(_SLOTS)[slot[own]]
        place[inside[np.lexsort((order, slot))]] = np.arange(len(inside))
    return place


def _digits(collection: str) -> _Clean:
    whole = load_digits(collection)
    train, test = random_split(len(whole), _TRAIN_SHARE)
    return _Clean(whole.subset(train), whole.subset(test), tuple("0123456789"), (collection,))


def _emoji() -> _Clean:
    task = emoji_adaptation("emoji", classes="category", source="google", target="windows")
    return _Clean(task.source_train, task.source_test, task.class_names, SOURCES)


COLLECTIONS: dict[str, Callable[[], _Clean]] = {
    "mnist5k": lambda: _digits("mnist5k"),
    "optdigits": lambda: _digits("optdigits"),
    "emoji": _emoji,
}
"""Name -> the clean collection: two of digits, and Google's emoji in eight categories."""
