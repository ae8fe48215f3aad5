"""Office-Caltech10 with SURF features (Gong et al., CVPR 2012): 10 classes of objects in four domains.

The folder ``root`` has the files ``DOMAIN_SURF_L10.mat`` of the authors, each with ``fts`` (N, 800), the counts of a
bag of words, and ``labels`` (N, 1) from 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlzoo.data.datasets.xlsa17 import read_matlab
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError

__all__ = ["DOMAINS", "office_caltech10", "read_domain"]

DOMAINS = ("amazon", "Caltech10", "dslr", "webcam")
_CLASS_NAMES = (
    *("backpack", "touring bike", "calculator", "headphones", "computer keyboard"),
    *("laptop", "computer monitor", "computer mouse", "coffee mug", "video projector"),
)
_TRAIN_SHARE = 0.7
_FROM = (
    "the authors' page of the geodesic flow kernel, http://www-scf.usc.edu/~boqinggo/domainadaptation.html, or a copy"
)


def office_caltech10(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``office_caltech10:S->T``: 70 % of each domain trained on, the others are the test.

    The published tables train on and test on whole domains: ``office_caltech10:S->T:literature``; those of the CORAL
    paper draw 20 source examples a class: ``office_caltech10:S->T:literature-20``.

    Raises:
        ValueError: a file is missing, which the message says where to get, or damaged.
    """
    first, second = read_domain(root, source), read_domain(root, target)
    source_parts, target_parts = random_split(len(first), _TRAIN_SHARE), random_split(len(second), _TRAIN_SHARE)
    return DomainTask(
        name=name,
        class_names=_CLASS_NAMES,
        source_train=first.subset(source_parts[0]),
        source_test=first.subset(source_parts[1]),
        target_train=second.subset(target_parts[0]),
        target_test=second.subset(target_parts[1]),
    )


def read_domain(root: Path, domain: str) -> ExampleSet:
    """Return a domain's histograms (N, 800), each divided by its mean, as the papers divide by the sum.

    Raises:
        ValueError: the file is missing or damaged.
    """
    file = root / f"{domain}_SURF_L10.mat"
    if not file.is_file():
        raise InputError(f"{file} is missing; Office-Caltech10's files {_wanted()} are to be had from {_FROM}")
    content = read_matlab(file, ("fts", "labels"))
    counts, labels = content["fts"].astype(np.float64), content["labels"].ravel().astype(np.int64) - 1
    if counts.ndim != 2 or len(counts) != len(labels) or not len(labels):
        raise InputError(f"{file}: fts of shape {counts.shape} and {len(labels)} labels; expected (N, D) and one each")
    if labels.min() < 0 or labels.max() >= len(_CLASS_NAMES):
        raise InputError(f"{file}: labels from {labels.min() + 1} to {labels.max() + 1}; expected 1 to 10")
    level = counts.mean(axis=1, keepdims=True)
    features = (counts / np.where(level > 0, level, 1)).astype(np.float32)
    return ExampleSet(inputs=features, modality="features", labels=labels, checksum=content_hash(features, labels))


def _wanted() -> str:
    return ", ".join(f"{domain}_SURF_L10.mat" for domain in DOMAINS)
