"""Office-31 and Office-Home as multitask sets: a task for each domain, as in LibMTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlzoo.data.datasets.image_domains import Files, domain_files
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.image_sets import IMAGE_SETS
from tlzoo.data.picture_sets import picture_set
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.errors import InputError

__all__ = ["office_multitask"]

_SIZE = 224
_PARTS = ("train", "val", "test")
_SHARES = (0.6, 0.8)
_MISSING = -1


def office_multitask(name: str, *, root: Path, dataset: str) -> MultitaskTask:
    """Build ``office31-tasks`` or ``office_home-tasks``: every picture has a label for the task of its domain alone.

    60 % of each domain are for training, 20 % for validation and 20 % for the test, drawn by a fixed seed; LibMTL's
    lists ``DOMAIN_train.txt``, ``DOMAIN_val.txt`` and ``DOMAIN_test.txt`` in ``root`` or ``image_list`` go first.

    Raises:
        ValueError: a domain is missing, which the message says where to get.
    """
    known = IMAGE_SETS[dataset]
    parts = [_parts(root, dataset, domain) for domain in known.domains]
    names = [sorted({label for files in own for _, label in files}) for own in parts]
    train, validation, test = (
        _examples(root, known.domains, [own[place] for own in parts], names) for place in range(len(_PARTS))
    )
    targets = {
        domain: Target(classes=len(own), names=tuple(own)) for domain, own in zip(known.domains, names, strict=True)
    }
    return MultitaskTask(name=name, targets=targets, train=train, validation=validation, test=test)


def _parts(root: Path, dataset: str, domain: str) -> list[Files]:
    listed = domain_files(IMAGE_SETS[dataset], root, domain, [f"{domain}_{part}.txt" for part in _PARTS])
    if len(listed) == len(_PARTS):
        return listed
    (whole,) = listed
    order = np.random.default_rng(0).permutation(len(whole))
    cuts = np.split(order, [round(share * len(whole)) for share in _SHARES])
    if not all(map(len, cuts)):
        raise InputError(f"{domain} in {root} has {len(whole)} pictures; expected 5 at least, to split them")
    return [[whole[place] for place in np.sort(cut)] for cut in cuts]


def _examples(root: Path, domains: tuple[str, ...], parts: list[Files], names: list[list[str]]) -> ExampleSet:
    files = [file for own in parts for file, _ in own]
    targets = {domain: np.full(len(files), _MISSING, dtype=np.int64) for domain in domains}
    first = 0
    for domain, own, known in zip(domains, parts, names, strict=True):
        targets[domain][first : first + len(own)] = [known.index(label) for _, label in own]
        first += len(own)
    examples = picture_set(root, files, np.zeros(len(files), dtype=np.int64), size=_SIZE, whole=True)
    return ExampleSet(inputs=examples.inputs, modality="image", targets=targets, checksum=examples.checksum)
