"""Example sets of pictures on disk, which are read on demand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.pictures import REVISION, ImageFiles, picture_hashes

__all__ = ["picture_set"]


def picture_set(
    root: Path, files: Sequence[Path], labels: NDArray[np.int64], *identity: str, size: int, whole: bool = False
) -> ExampleSet:
    """Return the pictures in files below ``root`` with their labels.

    The checksum covers names and contents of the files, see :mod:`tlzoo.storage.contents`.

    Args:
        root: folder that file names are taken below.
        files: one a picture.
        labels: (N,) classes.
        *identity: what else the checksum covers.
        size: see :class:`~tlzoo.data.pictures.ImageFiles`.
        whole: see :class:`~tlzoo.data.pictures.ImageFiles`.

    Raises:
        ValueError: a file is no picture.
    """
    reader = ImageFiles(files, size=size, whole=whole)  # first, so that it notices files that change from here on
    hashes = picture_hashes(root, files)
    how = ("whole",) if whole else ()
    return ExampleSet(
        inputs=reader,
        modality="image",
        labels=labels,
        checksum=content_hash(*identity, hashes, size, REVISION, *how),
    )
