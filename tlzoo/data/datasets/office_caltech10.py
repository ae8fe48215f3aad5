"""Office-Caltech10 (Gong et al., CVPR 2012): 10 classes of objects in four domains, with SURF or DeCAF features.

The folder ``root`` has the files ``DOMAIN_SURF_L10.mat`` of the authors, each with ``fts`` (N, 800), the counts of a
bag of words, and ``labels`` (N, 1) from 1. Those of DeCAF (the sixth layer of AlexNet; Donahue et al., ICML 2014) are
``DOMAIN_decaf.mat`` with ``feas`` (N, 4096) and ``labels``, or ``fea`` and ``gnd``; Caltech's is ``caltech_decaf.mat``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.datasets.xlsa17 import read_matlab
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError

__all__ = ["DOMAINS", "office_caltech10", "office_caltech10_decaf", "read_decaf", "read_domain"]

DOMAINS = ("amazon", "Caltech10", "dslr", "webcam")
_CLASS_NAMES = (
    *("backpack", "touring bike", "calculator", "headphones", "computer keyboard"),
    *("laptop", "computer monitor", "computer mouse", "coffee mug", "video projector"),
)
_SPELLED = {"Caltech10": ("caltech",), "amazon": ("Amazon",), "dslr": ("Dslr",), "webcam": ("Webcam",)}
_DECAF_NAMES = (("feas", "labels"), ("fea", "gnd"), ("fts", "labels"))
_TRAIN_SHARE = 0.7
_FROM = (
    "the authors' page of the geodesic flow kernel, http://www-scf.usc.edu/~boqinggo/domainadaptation.html, or a copy"
)

_DECAF_FROM = "the links in https://github.com/jindongwang/transferlearning, data/dataset.md"


def office_caltech10(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``office_caltech10:S->T``: 70 % of each domain trained on, the others are the test.

    The published tables train on and test on whole domains: ``office_caltech10:S->T:literature``; those of the CORAL
    paper draw 20 source examples a class: ``office_caltech10:S->T:literature-20``.

    Raises:
        ValueError: a file is missing, which the message says where to get, or damaged.
    """
    return _between(name, read_domain(root, source), read_domain(root, target))


def office_caltech10_decaf(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``office_caltech10_decaf:S->T``, the same with DeCAF features; the same published protocols.

    Raises:
        ValueError: a file is missing, which the message says where to get, or damaged.
    """
    return _between(name, read_decaf(root, source), read_decaf(root, target))


def _between(name: str, first: ExampleSet, second: ExampleSet) -> DomainTask:
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
    return _examples(file, content["fts"], content["labels"], what="fts")


def read_decaf(root: Path, domain: str) -> ExampleSet:
    """Return a domain's DeCAF features (N, 4096), each divided by its mean, as published code divides by the sum.

    Raises:
        ValueError: the file is missing or damaged.
    """
    names = [f"{spelled}_decaf.mat" for spelled in (domain, domain.lower(), *_SPELLED.get(domain, ()))]
    file = next((root / name for name in names if (root / name).is_file()), None)
    if file is None:
        raise InputError(f"{root} has no {' or '.join(dict.fromkeys(names))}; it is to be had from {_DECAF_FROM}")
    content = read_matlab(file, ())
    what, labels = next((pair for pair in _DECAF_NAMES if {*pair} <= {*content}), _DECAF_NAMES[0])
    content = read_matlab(file, (what, labels))
    return _examples(file, content[what], content[labels], what=what)


def _examples(file: Path, features: NDArray[Any], labels: NDArray[Any], *, what: str) -> ExampleSet:
    counts, labels = features.astype(np.float64), labels.ravel().astype(np.int64) - 1
    if counts.ndim != 2 or len(counts) != len(labels) or not len(labels):
        raise InputError(
            f"{file}: {what} of shape {counts.shape} and {len(labels)} labels; expected (N, D) and one each"
        )
    if labels.min() < 0 or labels.max() >= len(_CLASS_NAMES):
        raise InputError(f"{file}: labels from {labels.min() + 1} to {labels.max() + 1}; expected 1 to 10")
    level = counts.mean(axis=1, keepdims=True)
    rows = (counts / np.where(level > 0, level, 1)).astype(np.float32)
    return ExampleSet(inputs=rows, modality="features", labels=labels, checksum=content_hash(rows, labels))


def _wanted() -> str:
    return ", ".join(f"{domain}_SURF_L10.mat" for domain in DOMAINS)
