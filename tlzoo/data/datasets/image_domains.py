"""Office-31, Office-Home, VisDA-2017, DomainNet and PACS on disk, by folders or by the lists of published code.

The folder ``root`` has ``DOMAIN/CLASS/*.jpg`` (Office-31: ``DOMAIN/images/CLASS``). Lists of lines ``path label`` go
first where they are there: ``DOMAIN.txt``, ``DOMAIN_list.txt`` or ``DOMAIN_all.txt``, in ``image_list`` or beside the
domains, with paths below ``root``, as TLlib has them; ``DOMAIN_train.txt`` and ``DOMAIN_test.txt`` of DomainNet. The
folder of a file says its class, and classes are sorted, so that lists and folders give the same labels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tlzoo.data.class_settings import opened, partial, universal
from tlzoo.data.datasets.folders import class_files
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.image_sets import IMAGE_SETS, ImageSet
from tlzoo.data.picture_sets import picture_set
from tlzoo.data.pictures import subfolders
from tlzoo.data.readers.picture_lists import read_list
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError

__all__ = ["SIZE", "Files", "domain_files", "image_domains"]

SIZE = 256
"""Height and width that pictures are squeezed to, as in published code, which crops 224 pixels of them."""

_TRAIN_SHARE = 0.7
_LISTS = ("image_list", "")
_WHOLE = ("", "_list", "_all")

_log = logging.getLogger(__name__)

Files = list[tuple[Path, str]]
"""Files with the names of their classes."""


def image_domains(name: str, *, root: Path, dataset: str, source: str, target: str, variant: str = "") -> DomainTask:
    """Build ``DATASET:S->T``, or its variant ``partial``, ``open`` or ``universal``, from pictures on disk.

    70 % of each domain are for training; of DomainNet, the official training lists. Published tables train on and test
    on whole domains, ``DATASET:S->T:literature``, but of DomainNet, where this is the published protocol.

    Raises:
        ValueError: a domain or a list is missing, which the message says where to get; or classes differ.
    """
    known = IMAGE_SETS[dataset]
    lists = ["{}_train.txt", "{}_test.txt"] if known.official else []
    first, second = (
        domain_files(known, root, domain, [each.format(domain) for each in lists], needed=known.official)
        for domain in (source, target)
    )
    classes = _classes(known, root, first, second)
    made = [[_examples(root, part, classes) for part in domain] for domain in (first, second)]
    if not known.official:
        made = [[whole.subset(part) for part in random_split(len(whole), _TRAIN_SHARE)] for (whole,) in made]
    task = DomainTask(
        name=name,
        class_names=classes,
        mirrored=True,
        metric=known.metric,
        source_train=made[0][0],
        source_test=made[0][1],
        target_train=made[1][0],
        target_test=made[1][1],
    )
    match variant:
        case "partial":
            return partial(task, _chosen(known.partial, classes, title=known.title))
        case "open":
            return opened(task, _chosen(known.known, classes, title=known.title))
        case "universal":
            shared = _chosen(known.shared, classes, title=known.title)
            others = [place for place in range(len(classes)) if place not in shared]
            if len(others) <= known.private:
                least = len(shared) + known.private
                raise InputError(f"{known.title} on disk has {len(classes)} classes; expected more than {least}")
            return universal(task, shared, others[: known.private])
    return task


def domain_files(
    known: ImageSet, root: Path, domain: str, lists: Sequence[str] = (), *, needed: bool = False
) -> list[Files]:
    """Return the files of a domain: of each of the ``lists`` if they are there, otherwise all in one.

    Args:
        known: the set.
        root: its folder.
        domain: name of the domain.
        lists: names of lists that divide it.
        needed: whether these must be there.

    Raises:
        ValueError: the domain or a list is missing.
    """
    if lists and (needed or _list_file(root, lists) is not None):
        return [_listed(root, _needed(known, root, name)) for name in lists]
    if (file := _list_file(root, [f"{domain}{ending}.txt" for ending in _WHOLE])) is not None:
        return [_kept(_listed(root, file), known)]
    there = next((each for each in (domain, *known.spelled.get(domain, ())) if (root / each).is_dir()), None)
    if there is None:
        has = f"it has {', '.join(subfolders(root)) or 'none'}"
        raise InputError(f"{root} has no folder {domain} ({has}); {known.title} is to be had from {known.source}")
    return [_kept([(file, label) for label, files in class_files(root, there).items() for file in files], known)]


def _needed(known: ImageSet, root: Path, name: str) -> Path:
    file = _list_file(root, [name])
    if file is None:
        raise InputError(
            f"{root} has no {name}, here or in {_LISTS[0]}; {known.title} is to be had from {known.source}"
        )
    return file


def _list_file(root: Path, names: Sequence[str]) -> Path | None:
    places = (root / folder / name for folder in _LISTS for name in names)
    return next((path for path in places if path.is_file()), None)


def _listed(root: Path, file: Path) -> Files:
    """Return the files of a list.

    Raises:
        ValueError: a file does not exist, or one label stands for two classes.
    """
    columns = read_list(file)
    names: dict[int | str, str] = {}
    files = [root / path for path in columns["path"]]
    for path, label in zip(files, columns["label"], strict=True):
        name = names.setdefault(label, path.parent.name)
        if name != path.parent.name:
            raise InputError(f"{file}: label {label} stands for {name} and {path.parent.name}; expected one class")
        if not path.is_file():
            raise InputError(f"{file} names {path}, which does not exist; unpack the domain again")
    return [(path, path.parent.name) for path in files]


def _kept(files: Files, known: ImageSet) -> Files:
    return [(file, label) for file, label in files if not known.only or label in known.only]


def _classes(known: ImageSet, root: Path, *domains: Iterable[Files]) -> tuple[str, ...]:
    """Return the classes of two domains, sorted.

    Raises:
        ValueError: the two differ.
    """
    first, second = ({label for part in domain for _, label in part} for domain in domains)
    if first != second:
        only = sorted(first ^ second)
        raise InputError(f"{', '.join(only[:5])} in {root} are in one of the two domains alone; both need all classes")
    if len(first) != known.classes:
        _log.warning("%s in %s has %d classes; the published one has %d", known.title, root, len(first), known.classes)
    return tuple(sorted(first))


def _chosen(wanted: tuple[str, ...] | int, classes: tuple[str, ...], *, title: str) -> list[int]:
    """Return the indices of classes that are named, or of so many of the first."""
    names = classes[:wanted] if isinstance(wanted, int) else wanted
    if missing := sorted({*names} - {*classes}):
        raise InputError(f"{title} on disk has no class {missing[0]}; expected {', '.join(names)}")
    least = wanted if isinstance(wanted, int) else len(wanted)
    if len(classes) <= least:
        raise InputError(f"{title} on disk has {len(classes)} classes; expected more than {least}")
    return [classes.index(name) for name in names]


def _examples(root: Path, files: Files, classes: tuple[str, ...]) -> ExampleSet:
    places = {label: place for place, label in enumerate(classes)}
    labels = np.array([places[label] for _, label in files], dtype=np.int64)
    return picture_set(root, [file for file, _ in files], labels, size=SIZE, whole=True)
