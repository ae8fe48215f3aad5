"""Image sets of your own on disk, with folders ``domain/class``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.picture_sets import picture_set
from tlzoo.data.pictures import SIZE, find_pictures, subfolders, usual_size
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["class_files", "folder_adaptation", "read_domain"]

_TRAIN_SHARE = 0.7


def folder_adaptation(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``folder:S->T`` from ``root/S/class/*.jpg`` and ``root/T/class/*.jpg``, 70 % of each for training.

    Raises:
        ValueError: a domain is missing or empty, or the two have different classes.
    """
    classes = _class_names(root, source)
    others = _class_names(root, target)
    if classes != others:
        only = sorted(set(classes) ^ set(others))
        raise InputError(
            f"{source} and {target} in {root} differ in classes: {', '.join(only[:5])} in one alone; "
            "both need the same class folders"
        )
    files = [file for domain in (source, target) for members in class_files(root, domain).values() for file in members]
    size = usual_size(files)
    first, second = read_domain(root, source, size=size), read_domain(root, target, size=size)
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


def read_domain(root: Path, domain: str, *, size: int = SIZE) -> ExampleSet:
    """Return all images in ``root/domain/class/``, at any depth, with labels; files are read on demand.

    They are read at ``size`` pixels a side; domains that are used together need the same.

    The checksum covers names and contents of the files, see :mod:`tlzoo.storage.contents`.

    Raises:
        ValueError: the domain is missing, a class has no images, images lie outside the class folders, a link is
            broken, or a file is not an image.
    """
    files = list(class_files(root, domain).values())
    every = [file for members in files for file in members]
    labels = np.repeat(np.arange(len(files)), [len(members) for members in files])
    return picture_set(_class_folder(root, domain), every, labels, domain, size=size)


def class_files(root: Path, domain: str) -> dict[str, list[Path]]:
    """Return the images of each class of a domain, by its name.

    Raises:
        ValueError: the domain is missing, or a class has no images.
    """
    classes, folder = _class_names(root, domain), _class_folder(root, domain)
    files = [find_pictures(folder / name) for name in classes]
    if empty := [name for name, members in zip(classes, files, strict=True) if not members]:
        raise InputError(f"{folder / empty[0]} has no images; fill it, or remove the folder from all domains")
    return dict(zip(classes, files, strict=True))


def _class_names(root: Path, domain: str) -> tuple[str, ...]:
    domains = subfolders(root)
    if not domains:
        raise InputError(f"{root} has no folders; expected root/domain/class/*.jpg")
    if domain not in domains:
        raise InputError(f"{nearest(domain, domains, kind='domain')} (in {root})")
    folder = _class_folder(root, domain)
    classes = subfolders(folder)
    if not classes:
        raise InputError(f"{folder} has no folders; expected a folder of images for each class")
    if stray := find_pictures(folder, deep=False):
        raise InputError(f"{stray[0]} is in no class folder; move it into one, or remove it")
    return classes


def _class_folder(root: Path, domain: str) -> Path:
    """Return the folder that contains the classes; Office-31 has it one level deeper, in ``images``."""
    folder = root / domain
    return folder / "images" if subfolders(folder) == ("images",) and subfolders(folder / "images") else folder
