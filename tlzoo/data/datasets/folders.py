"""Domain sets on disk, one folder a domain and in it one a class: Office-31, Office-Home, PACS, DomainNet, VisDA."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageFiles", "folder_adaptation", "read_domain"]

_SIZE = 224
_TRAIN_SHARE = 0.7
_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


class ImageFiles:
    """Pictures read when they are asked for: RGB, the shorter side resized to ``size``, the middle cut out.

    Args:
        files: one a picture.
        size: height and width.
    """

    def __init__(self, files: Sequence[Path], *, size: int = _SIZE) -> None:
        self.files, self.size = tuple(files), size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (B, size, size, 3) uint8."""
        if not len(indices):
            return np.empty((0, self.size, self.size, 3), dtype=np.uint8)
        return np.stack([self._read(self.files[index]) for index in indices])

    def take(self, indices: NDArray[np.int64]) -> ImageFiles:
        """Return a reader of these files alone."""
        return ImageFiles([self.files[index] for index in indices], size=self.size)

    def _read(self, file: Path) -> NDArray[np.uint8]:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(file) as opened:
                return np.asarray(_fitted(opened.convert("RGB"), self.size))
        except (OSError, UnidentifiedImageError) as error:
            raise ValueError(f"{file} cannot be read as a picture ({error}); replace or remove it") from error


def _fitted(image: Image, size: int) -> Image:
    from PIL import Image

    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))


def folder_adaptation(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``folder:S->T`` from ``root/S/class/*.jpg`` and ``root/T/class/*.jpg``, 70 % of each trained on.

    Raises:
        ValueError: a domain is missing or empty, or the two have different classes.
    """
    classes = _class_names(root, source)
    others = _class_names(root, target)
    if classes != others:
        only = sorted(set(classes) ^ set(others))
        raise ValueError(
            f"{source} and {target} in {root} differ in classes: {', '.join(only[:5])} in one alone; "
            "both need the same class folders"
        )
    first, second = read_domain(root, source), read_domain(root, target)
    source_parts, target_parts = random_split(len(first), _TRAIN_SHARE), random_split(len(second), _TRAIN_SHARE)
    return DomainTask(
        name=name,
        class_names=classes,
        mirrored=True,
        source_train=first.subset(source_parts[0]),
        source_test=first.subset(source_parts[1]),
        target_train=second.subset(target_parts[0]),
        target_test=second.subset(target_parts[1]),
    )


def read_domain(root: Path, domain: str) -> ExampleSet:
    """Return all pictures of ``root/domain/class/*`` with labels; files are opened when they are read.

    Its checksum is made of the files' names and sizes: hashing the pictures would mean reading the whole set.
    """
    classes = _class_names(root, domain)
    files = [_pictures(root / domain / name) for name in classes]
    every = [file for members in files for file in members]
    if not every:
        raise ValueError(f"{root / domain} holds no pictures ({', '.join(sorted(_SUFFIXES))})")
    sizes = [(file.relative_to(root).as_posix(), file.stat().st_size) for file in every]
    return ExampleSet(
        inputs=ImageFiles(every),
        modality="image",
        labels=np.repeat(np.arange(len(classes)), [len(members) for members in files]),
        checksum=content_hash(sizes, _SIZE),
    )


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def _class_names(root: Path, domain: str) -> tuple[str, ...]:
    domains = _folders(root)
    if not domains:
        raise ValueError(f"{root} holds no folders; expected one a domain, and in it one a class")
    if domain not in domains:
        raise ValueError(f"{nearest(domain, domains, kind='domain')} (in {root})")
    return _folders(root / domain)


def _folders(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; expected root/domain/class/*.jpg")
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
