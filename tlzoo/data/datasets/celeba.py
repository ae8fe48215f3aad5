"""CelebA (Liu et al., ICCV 2015): faces with forty attributes, each a task, in torchvision's files.

The folder ``root``, or ``root/celeba``, has ``img_align_celeba/*.jpg``, ``list_attr_celeba.txt`` (the number of
pictures, the names of the attributes, then a line for each picture with -1 or 1) and ``list_eval_partition.txt`` (0 for
training, 1 for validation, 2 for the test).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.picture_sets import picture_set
from tlzoo.data.readers.plain_files import read_text
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.errors import InputError

__all__ = ["SIZE", "celeba"]

SIZE = 64
"""Height and width that pictures are squeezed to, as in papers of multitask learning."""

_PICTURES, _ATTRIBUTES, _PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
_PARTS = ("0", "1", "2")
_FROM = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, or torchvision.datasets.CelebA(root, download=True)"


def celeba(name: str, *, root: Path) -> MultitaskTask:
    """Build ``celeba``: forty binary targets, by the official division into training, validation and test.

    Raises:
        ValueError: a file is missing, which the message says where to get, or the lists do not fit.
    """
    folder = root / "celeba" if (root / "celeba").is_dir() else root
    first, second, *lines = [*_lines(folder, _ATTRIBUTES), "", ""]
    attributes, lines = second.split(), lines[:-2]
    marks = {file: values for file, *values in map(str.split, lines)}
    entries = [line.split() for line in _lines(folder, _PARTITION)]
    if odd := [entry for entry in entries if len(entry) != 2 or entry[1] not in _PARTS]:
        raise InputError(f"{folder / _PARTITION} has a line {' '.join(odd[0])!r}; expected a picture and 0, 1 or 2")
    parts = dict(entries)
    if not first.strip().isdecimal() or len(marks) != int(first) or {*marks} != {*parts}:
        raise InputError(
            f"{folder / _ATTRIBUTES} lists {len(marks)} pictures, says {first.strip()[:20]!r}, and {_PARTITION} lists "
            f"{len(parts)}; expected the same pictures in both"
        )
    files = [[file for file, own in parts.items() if own == part] for part in _PARTS]
    train, validation, test = (_examples(folder, own, attributes, marks) for own in files)
    targets = {each: Target(classes=2, names=("no", "yes")) for each in attributes}
    return MultitaskTask(name=name, targets=targets, train=train, validation=validation, test=test)


def _lines(folder: Path, name: str) -> list[str]:
    file = folder / name
    if not file.is_file():
        raise InputError(f"{file} is missing; CelebA is to be had from {_FROM}")
    return [line for line in read_text(file).splitlines() if line.strip()]


def _examples(folder: Path, names: list[str], attributes: list[str], marks: dict[str, list[str]]) -> ExampleSet:
    files = [folder / _PICTURES / name for name in names]
    if missing := [file for file in files if not file.is_file()]:
        raise InputError(f"{missing[0]} is missing; CelebA is to be had from {_FROM}")
    rows = [marks[name] for name in names]
    if odd := [name for name, row in zip(names, rows, strict=True) if len(row) != len(attributes)]:
        raise InputError(f"{folder / _ATTRIBUTES}: {odd[0]} has {len(marks[odd[0]])} marks; expected {len(attributes)}")
    if odd := [name for name, row in zip(names, rows, strict=True) if not {*row} <= {"-1", "1"}]:
        raise InputError(f"{folder / _ATTRIBUTES}: a mark of {odd[0]} is neither -1 nor 1; fetch it again")
    values = (np.array(rows, dtype=np.int64).reshape(len(names), len(attributes)) > 0).astype(np.int64)
    whole = picture_set(folder, files, np.zeros(len(files), dtype=np.int64), size=SIZE, whole=True)
    targets = {attribute: values[:, place] for place, attribute in enumerate(attributes)}
    return ExampleSet(inputs=whole.inputs, modality="image", targets=targets, checksum=whole.checksum)
