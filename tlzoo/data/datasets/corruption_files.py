"""CIFAR-10-C, CIFAR-100-C and ImageNet-C on disk (Hendrycks and Dietterich, ICLR 2019), as streams.

``root`` has ``CIFAR-10-C/CORRUPTION.npy`` (five severities one after the other, N pictures each) with ``labels.npy``,
and CIFAR-10 in torchvision's files; ``CIFAR-100-C`` likewise. For ImageNet-C it has
``ImageNet-C/CORRUPTION/SEVERITY/CLASS`` and ImageNet's validation pictures in ``val/CLASS``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlzoo.data.corruptions import CORRUPTIONS, SEVERITIES
from tlzoo.data.datasets.corruption_streams import StreamKind, corrupted_training_set, in_stream
from tlzoo.data.datasets.folders import class_files
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.picture_sets import picture_set
from tlzoo.data.readers.plain_files import read_array
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError
from tlzoo.storage.contents import content_hashes

__all__ = ["cifar_c", "imagenet_c"]

_SEVERITY = 5
_SEED = 0
_GRADUAL = (*SEVERITIES, *SEVERITIES[-2::-1])
_FOLDERS = {"cifar10": ("CIFAR-10-C", "CIFAR10"), "cifar100": ("CIFAR-100-C", "CIFAR100")}
_CIFAR_FROM = "https://zenodo.org/records/2535967 (CIFAR-10-C) or /3555552 (CIFAR-100-C)"
_IMAGENET_FROM = "https://zenodo.org/records/2235448"
_PER_CLASS = 5
_IMAGENET_SIZE = 224


def cifar_c(name: str, *, root: Path, collection: str, stream: StreamKind) -> DomainTask:
    """Build ``cifar10-c:STREAM`` or ``cifar100-c:STREAM``: trained on the clean set, tested on its corrupted test set.

    All test pictures under each of the fifteen corruptions at severity 5; in the ``gradual`` stream a ninth of them in
    each of nine steps. Streams are those of :func:`~tlzoo.data.datasets.corruption_streams.corruption_stream`. The
    target's training set, for the bound alone, holds training pictures under our own corruptions.

    Raises:
        ValueError: a file is missing, which the message says where to get, or damaged.
    """
    folder, dataset = root / _FOLDERS[collection][0], _FOLDERS[collection][1]
    clean, names = _clean(dataset, root, train=True)
    labels = read_array(_file(folder, "labels.npy")).astype(np.int64)
    count = len(labels) // len(SEVERITIES)
    if stream == "gradual":
        cuts = np.linspace(0, count, len(_GRADUAL) + 1).astype(int)
        steps = [(severity, int(a), int(b)) for severity, a, b in zip(_GRADUAL, cuts[:-1], cuts[1:], strict=True)]
    else:
        steps = [(_SEVERITY, 0, count)]
    wholes = [_corrupted(_file(folder, f"{corruption}.npy"), labels) for corruption in CORRUPTIONS]
    blocks = [
        whole.subset(np.arange((severity - 1) * count + first, (severity - 1) * count + last))
        for whole in wholes
        for severity, first, last in steps
    ]
    test = ExampleSet.pooled(blocks).without_domains()
    return DomainTask(
        name=name,
        class_names=names,
        mirrored=True,
        source_train=clean,
        source_test=_clean(dataset, root, train=False)[0],
        target_train=corrupted_training_set(collection, clean, severity=_SEVERITY),
        target_test=in_stream(test, stream, [len(block) for block in blocks], np.random.default_rng(_SEED)),
    )


def imagenet_c(name: str, *, root: Path, stream: StreamKind) -> DomainTask:
    """Build ``imagenet-c:STREAM``: five pictures a class under each of the fifteen corruptions at severity 5.

    5,000 pictures a corruption are as many as published tables take; they have a list, here it is the first five of
    each class. The other validation pictures are the clean source, and the five themselves its held-out test. The
    target's training set, for the bound alone, holds the next five of each class under one corruption each.

    Raises:
        ValueError: a folder is missing, which the message says where to get.
    """
    if not (root / "val").is_dir():
        raise InputError(f"{root} has no folder val with ImageNet's validation pictures, val/CLASS/*.JPEG")
    clean = class_files(root, "val")
    names = tuple(clean)
    shown = {label: [file.name for file in files[:_PER_CLASS]] for label, files in clean.items()}
    further = {label: [file.name for file in files[_PER_CLASS : 2 * _PER_CLASS]] for label, files in clean.items()}
    severities = _GRADUAL if stream == "gradual" else (_SEVERITY,)
    blocks = [
        _pictures(
            root, [_corrupted_file(root, corruption, severity, label, file) for label, file in _pairs(shown)], shown
        )
        for corruption in CORRUPTIONS
        for severity in severities
    ]
    rest = {label: [file.name for file in files[_PER_CLASS:]] for label, files in clean.items()}
    corruptions = list(CORRUPTIONS)
    trained = [
        _corrupted_file(root, corruptions[place % len(corruptions)], _SEVERITY, label, file)
        for place, (label, file) in enumerate(_pairs(further))
    ]
    test = ExampleSet.pooled(blocks).without_domains()
    return DomainTask(
        name=name,
        class_names=names,
        mirrored=True,
        source_train=_pictures(root, [root / "val" / label / file for label, file in _pairs(rest)], rest),
        source_test=_pictures(root, [root / "val" / label / file for label, file in _pairs(shown)], shown),
        target_train=_pictures(root, trained, further),
        target_test=in_stream(test, stream, [len(block) for block in blocks], np.random.default_rng(_SEED)),
    )


def _clean(dataset: str, root: Path, *, train: bool) -> tuple[ExampleSet, tuple[str, ...]]:
    """Return a part of the clean set with its class names; torchvision checks its files before it reads them."""
    import torchvision.datasets

    try:
        found: Any = getattr(torchvision.datasets, dataset)(str(root), train=train)
    except RuntimeError as error:
        raise InputError(
            f"{root} has no whole {dataset}; torchvision.datasets.{dataset}({str(root)!r}, download=True) fetches it"
        ) from error
    return ExampleSet(inputs=found.data, modality="image", labels=np.array(found.targets)), tuple(found.classes)


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(f"{folder / name} is missing; {folder.name} is to be had from {_CIFAR_FROM}")
    return folder / name


def _corrupted(file: Path, labels: np.ndarray[Any, np.dtype[np.int64]]) -> ExampleSet:
    """Return the pictures of a corruption at all severities."""
    pictures = read_array(file, mmap_mode="r")
    if len(pictures) != len(labels) or pictures.ndim != 4 or pictures.dtype != np.uint8:
        raise InputError(f"{file}: {pictures.dtype} of shape {pictures.shape}; expected uint8 ({len(labels)}, H, W, 3)")
    checksum = content_hashes(file.parent, [file])[file.name]  # a gigabyte in all, so only hashed once
    return ExampleSet(inputs=pictures, modality="image", labels=labels, checksum=checksum)


def _pairs(files: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(label, file) for label, own in files.items() for file in own]


def _corrupted_file(root: Path, corruption: str, severity: int, label: str, name: str) -> Path:
    file = root / "ImageNet-C" / corruption / str(severity) / label / name
    if not file.is_file():
        raise InputError(f"{file} is missing; ImageNet-C is to be had from {_IMAGENET_FROM}")
    return file


def _pictures(root: Path, files: list[Path], classes: dict[str, list[str]]) -> ExampleSet:
    labels = np.repeat(np.arange(len(classes)), [len(own) for own in classes.values()])
    return picture_set(root, files, labels.astype(np.int64), size=_IMAGENET_SIZE)
