"""miniImageNet, tieredImageNet, CUB, CIFAR-FS and FC100 on disk, by folders of splits or by lists of their classes.

For each of ``train``, ``val`` and ``test``, ``root`` has one of

- ``SPLIT.csv`` with a class and a picture in each line, as of miniImageNet (``class_name,image_name`` or
  ``filename,label``);
- ``SPLIT.json`` with ``class_names``, as easyfsl keeps tieredImageNet and CUB;
- ``SPLIT.txt`` with a class in each line, also in ``splits/bertinetto``, as CIFAR-FS has it;
- a folder ``SPLIT/CLASS``.

Pictures of listed classes are in ``CLASS``, ``images/CLASS`` or ``data/CLASS``; those of a CSV also in ``images``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlzoo.data.picture_sets import picture_set
from tlzoo.data.pictures import find_pictures, subfolders
from tlzoo.data.readers.plain_files import read_json, read_text
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError

__all__ = ["FEW_SHOT_SETS", "FewShotSet", "few_shot_files"]

_SPLITS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
_PLACES = ("images", "data", "")
_LISTS = ("", "splits/bertinetto")
_QUERY = 15


@dataclass(frozen=True, kw_only=True)
class FewShotSet:
    """A set of pictures whose classes are split.

    Attributes:
        title: its name.
        size: height and width that whole pictures are squeezed to: 96, of which networks see the middle 84, or 32.
        classes: how many train, val and test have.
        pictures: how many it has.
        source: where it is to be had.
        numbers: the classes of each split by the numbers that their folders begin with, where no list is needed.
    """

    title: str
    size: int
    classes: tuple[int, int, int]
    pictures: int
    source: str
    numbers: tuple[str, str, str] | None = None


_CUB = (
    "1-7 10-14 16-19 21-27 29 31-34 36-38 40-43 47-50 53 54 56 58-60 62 63 65 67 69-71 73-75 77-79 81 83 86-93 95 "
    "97-100 102 104-111 114-117 119 120 123-126 129-132 135 138 139 141-144 146 149 151-154 156-158 160 161 164-167 "
    "171 173-175 177 179-192 195-197",
    "44 51 52 55 57 61 64 66 68 72 76 80 84 96 113 121 127 136 140 145 150 155 159 162 172 176 178 198-200",
    "8 9 15 20 28 30 35 39 45 46 82 85 94 101 103 112 118 122 128 133 134 137 147 148 163 168-170 193 194",
)
"""easyfsl's split of the 200 birds."""

FEW_SHOT_SETS = {
    "mini-imagenet": FewShotSet(
        title="miniImageNet",
        size=96,
        classes=(64, 16, 20),
        pictures=60000,
        source="ImageNet's training pictures; lists: https://github.com/sicara/easy-few-shot-learning, "
        "data/mini_imagenet",
    ),
    "tiered-imagenet": FewShotSet(
        title="tieredImageNet",
        size=96,
        classes=(351, 97, 160),
        pictures=779165,
        source="ImageNet's training pictures; lists: https://github.com/sicara/easy-few-shot-learning, "
        "data/tiered_imagenet",
    ),
    "cub-fewshot": FewShotSet(
        title="CUB-200-2011",
        size=96,
        classes=(140, 30, 30),
        pictures=11788,
        source="https://www.vision.caltech.edu/datasets/cub_200_2011",
        numbers=_CUB,
    ),
    "cifar-fs": FewShotSet(
        title="CIFAR-FS", size=32, classes=(64, 16, 20), pictures=60000, source="https://github.com/bertinetto/r2d2"
    ),
    "fc100": FewShotSet(
        title="FC100", size=32, classes=(60, 20, 20), pictures=60000, source="https://github.com/ElementAI/TADAM"
    ),
}
"""Name of the task -> set."""

Files = dict[str, list[Path]]
"""Class -> its pictures."""


def few_shot_files(name: str, *, root: Path, dataset: str) -> EpisodeTask:
    """Build ``mini-imagenet``, ``tiered-imagenet``, ``cub-fewshot``, ``cifar-fs`` or ``fc100``: 5-way with 15 queries.

    Raises:
        ValueError: a split or a picture is missing, which the message says where to get, or two splits share a class.
    """
    known = FEW_SHOT_SETS[dataset]
    splits = [_split(root, known, place) for place in range(len(_SPLITS))]
    names = [label for files in splits for label in sorted(files)]
    if len({*names}) < len(names):
        twice = next(label for label in names if names.count(label) > 1)
        raise InputError(f"class {twice} is in two splits of {root}; expected one")
    parts, first = [], 0
    for files in splits:
        counts = [len(files[label]) for label in sorted(files)]
        every = [file for label in sorted(files) for file in files[label]]
        labels = first + np.repeat(np.arange(len(counts)), counts)
        parts.append(picture_set(root, every, labels.astype(np.int64), size=known.size, whole=True))
        first += len(counts)
    base, validation, novel = parts
    return EpisodeTask(name=name, class_names=tuple(names), base=base, validation=validation, novel=novel, query=_QUERY)


def _split(root: Path, known: FewShotSet, place: int) -> Files:
    """Return the pictures of a split by class.

    Raises:
        ValueError: there is none.
    """
    for split in list(_SPLITS.values())[place]:
        if (file := root / f"{split}.csv").is_file():
            return _table(root, file)
        if (listed := list(_listed_classes(root, split))) or (listed := _numbered(root, known, place)):
            return {label: _pictures_of(root, label) for label in listed}
        if (root / split).is_dir():
            return {label: find_pictures(root / split / label) for label in subfolders(root / split)}
    split = list(_SPLITS)[place]
    raise InputError(
        f"{root} has no {split}.csv, {split}.json, {split}.txt or folder {split}/CLASS of {known.title}; it is to be "
        f"had from {known.source}"
    )


def _table(root: Path, file: Path) -> Files:
    """Return the pictures that a CSV lists."""
    rows = list(csv.DictReader(io.StringIO(read_text(file), newline="")))
    labels, names = next(
        (pair for pair in (("class_name", "image_name"), ("label", "filename")) if rows and {*pair} <= {*rows[0]}),
        ("", ""),
    )
    if not labels:
        raise InputError(f"{file} has no columns class_name and image_name, or filename and label")
    found: Files = {}
    for row in rows:
        label, name = row[labels], row[names]
        places = [root / place / path for place in _PLACES for path in (Path(label, name), Path(name))]
        there = next((path for path in places if path.is_file()), None)
        if there is None:
            raise InputError(
                f"{file} names {name} of {label}, which is not in {root}; expected it in images or {label}"
            )
        found.setdefault(label, []).append(there)
    return found


def _class_names(file: Path) -> list[str]:
    content = read_json(file)
    names: Any = content.get("class_names") if isinstance(content, dict) else None
    if not isinstance(names, list):
        raise InputError(f"{file} has no list class_names; fetch it again")
    return list(map(str, names))


def _listed_classes(root: Path, split: str) -> Iterator[str]:
    """Yield the classes that a list of a split names."""
    if (file := root / f"{split}.json").is_file():
        yield from _class_names(file)
        return
    for folder in _LISTS:
        if (file := root / folder / f"{split}.txt").is_file():
            yield from read_text(file).split()
            return


def _numbered(root: Path, known: FewShotSet, place: int) -> list[str]:
    """Return the folders whose numbers are in a split of a set that needs no list."""
    folder = next((root / each for each in _PLACES if (root / each).is_dir()), root)
    if known.numbers is None:
        return []
    wanted = {number for part in known.numbers[place].split() for number in _range(part)}
    return [label for label in subfolders(folder) if label.partition(".")[0].isdecimal() and int(label[:3]) in wanted]


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def _pictures_of(root: Path, label: str) -> list[Path]:
    for place in _PLACES:
        if (root / place / label).is_dir() and (found := find_pictures(root / place / label)):
            return found
    raise InputError(
        f"{root} has no pictures of class {label}; expected them in {label}, images/{label} or data/{label}"
    )
