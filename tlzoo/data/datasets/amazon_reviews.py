"""Amazon's reviews of four products (Blitzer, Dredze & Pereira, ACL 2007), negative or positive, as bags of terms.

The folder ``root`` has one of

- ``processed_acl/DOMAIN`` (or ``DOMAIN``) with ``negative.review``, ``positive.review`` and ``unlabeled.review``: lines
  ``term:count term:count ... #label#:negative``, terms of one word or two; the authors' files;
- ``DOMAIN_train.svmlight`` and ``DOMAIN_test.svmlight``: 5,000 terms, labels -1 and 1; those of the DANN paper;
- ``amazon.mat`` with ``xx`` (terms, reviews), ``yy`` (-1 and 1) and ``offset``, where each domain begins; or
  ``amazon.npz`` of the same (``xx_data``, ``xx_row``, ``xx_col``, ``xx_shape``); those of the mSDA paper;
- ``DOMAIN_400.mat`` with ``fts`` (N, 400) and ``labels`` (0 and 1), features of mSDA.

Electronics may be spelled ``elec``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.datasets.xlsa17 import read_matlab
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.readers import read_columns
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError

__all__ = ["PRODUCTS", "TERMS", "amazon_reviews"]

PRODUCTS = ("books", "dvd", "electronics", "kitchen")
TERMS = 5000
"""The most frequent terms, which are kept, as published tables do."""

_CLASS_NAMES = ("negative", "positive")
_LABELLED = 2000
"""Reviews of a product that are trained on; all others are the test."""

_TRAIN_SHARE = 0.7
_IN_ARCHIVE = ("xx_data", "xx_row", "xx_col", "xx_shape", "yy", "offset")
_SPELLED = {"electronics": ("electronics", "elec")}
_FROM = (
    "https://www.cs.jhu.edu/~mdredze/datasets/sentiment (processed_acl), or "
    "https://github.com/GRAAL-Research/domain_adversarial_neural_network, data (DOMAIN_train.svmlight)"
)

Part = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Features (N, D) and labels (N,)."""

Parts = tuple[Part, Part]
"""What is trained on, and the test."""


def amazon_reviews(name: str, *, root: Path, source: str, target: str) -> DomainTask:
    """Build ``amazon_reviews:S->T``: 2,000 reviews of each product to train on, the others are the test.

    This is the split of published tables (mSDA, DANN): the authors' labelled and unlabelled reviews, whose labels are
    known. Products with fewer reviews in one file are divided 70 to 30. Of bags, the entry of a term is 1 where a
    review has it, for the 5,000 terms that most of the 8,000 labelled reviews have; files of other authors are taken as
    they are.

    Raises:
        ValueError: a file is missing, which the message says where to get, or damaged.
    """
    first, second = _read(root, source, target)
    sets = [
        ExampleSet(inputs=rows, modality="features", labels=labels, checksum=content_hash(rows, labels))
        for rows, labels in (*first, *second)
    ]
    return DomainTask(
        name=name,
        class_names=_CLASS_NAMES,
        source_train=sets[0],
        source_test=sets[1],
        target_train=sets[2],
        target_test=sets[3],
    )


def _read(root: Path, *products: str) -> list[Parts]:
    """Return the parts of each product in the first layout that is there.

    Raises:
        ValueError: none is.
    """
    folder = root / "processed_acl" if (root / "processed_acl").is_dir() else root
    if _spelled(folder, products[0], "{}").is_dir():
        return _bags(folder, products)
    for ending, read in (("_train.svmlight", _svmlight), ("_400.mat", _features)):
        if all(_spelled(root, each, f"{{}}{ending}").is_file() for each in products):
            return [read(root, each) for each in products]
    for file, whole in ((root / "amazon.mat", _matlab), (root / "amazon.npz", _archive)):
        if file.is_file():
            return [_between(file, *whole(file), PRODUCTS.index(each)) for each in products]
    raise InputError(
        f"{root} has no processed_acl/{products[0]}, {products[0]}_train.svmlight, {products[0]}_400.mat or "
        f"amazon.mat; the reviews are to be had from {_FROM}"
    )


def _spelled(folder: Path, product: str, pattern: str) -> Path:
    """Return the path of a product as it is spelled in a folder."""
    places = [folder / pattern.format(each) for each in _SPELLED.get(product, (product,))]
    return next((place for place in places if place.exists()), places[0])


def _bags(folder: Path, products: Sequence[str]) -> list[Parts]:
    """Read the authors' bags of words and pairs of words."""
    kept = _frequent(folder)
    places = {term: place for place, term in enumerate(kept)}

    def part(product: str, *kinds: str) -> Part:
        reviews = [review for kind in kinds for review in _reviews(_needed(folder, product, kind))]
        rows = np.zeros((len(reviews), len(kept)), dtype=np.float32)
        for row, (terms, _) in enumerate(reviews):
            rows[row, [places[term] for term in terms if term in places]] = 1
        return rows, np.array([label for _, label in reviews], dtype=np.int64)

    return [(part(each, "negative", "positive"), part(each, "unlabeled")) for each in products]


def _frequent(folder: Path) -> list[str]:
    """Return the terms that most labelled reviews of all four products have, ties in alphabetical order."""
    counts: Counter[str] = Counter()
    for product in PRODUCTS:
        for kind in ("negative", "positive"):
            for terms, _ in _reviews(_needed(folder, product, kind)):
                counts.update(terms)
    return [term for term, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:TERMS]]


def _needed(folder: Path, product: str, kind: str) -> Path:
    file = _spelled(folder, product, "{}") / f"{kind}.review"
    if not file.is_file():
        raise InputError(f"{file} is missing; the reviews of all four products are to be had from {_FROM}")
    return file


def _reviews(file: Path) -> Iterator[tuple[list[str], int]]:
    """Yield the terms of each review, each once, and its label."""
    lines = file.read_text("utf-8", errors="replace").rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        *entries, last = line.strip().split(" ")
        name = last.removeprefix("#label#:")
        if name not in _CLASS_NAMES:
            raise InputError(
                f"{file}, line {number} ends in {last[:30]!r}; expected #label#:negative or #label#:positive"
            )
        yield [entry.rpartition(":")[0] for entry in entries if entry], _CLASS_NAMES.index(name)


def _svmlight(root: Path, product: str) -> Parts:
    from sklearn.datasets import load_svmlight_file

    def part(name: str) -> Part:
        file = _spelled(root, product, f"{{}}_{name}.svmlight")
        if not file.is_file():
            raise InputError(f"{file} is missing; it is to be had from {_FROM}")
        try:
            rows, labels = load_svmlight_file(str(file), n_features=TERMS, dtype=np.float32)
        except ValueError as error:
            raise InputError(f"{file} cannot be read as a svmlight file ({error}); fetch it again") from error
        return rows.toarray(), _signs(file, labels)

    return part("train"), part("test")


def _features(root: Path, product: str) -> Parts:
    file = _spelled(root, product, "{}_400.mat")
    content = read_matlab(file, ("fts", "labels"))
    rows, labels = content["fts"].astype(np.float32), content["labels"].ravel().astype(np.int64)
    if rows.ndim != 2 or len(rows) != len(labels) or not {*labels.tolist()} <= {0, 1}:
        raise InputError(f"{file}: fts of shape {rows.shape} and labels {np.unique(labels)[:5]}; expected 0 or 1 each")
    train, test = random_split(len(rows), _TRAIN_SHARE)
    return (rows[train], labels[train]), (rows[test], labels[test])


def _matlab(file: Path) -> tuple[Any, NDArray[Any], NDArray[np.int64]]:
    content = read_matlab(file, ("xx", "yy", "offset"))
    return content["xx"], content["yy"], content["offset"].ravel().astype(np.int64)


def _archive(file: Path) -> tuple[Any, NDArray[Any], NDArray[np.int64]]:
    from scipy.sparse import coo_matrix

    content = read_columns(file).columns
    if missing := [name for name in _IN_ARCHIVE if name not in content]:
        raise InputError(f"{file} has no {missing[0]}; it is to be had from {_FROM}")
    entries = (content["xx_data"], (content["xx_row"], content["xx_col"]))
    matrix = coo_matrix(entries, shape=tuple(content["xx_shape"]))
    return matrix, content["yy"], content["offset"].ravel().astype(np.int64)


def _between(file: Path, terms: Any, signs: NDArray[Any], offset: NDArray[np.int64], place: int) -> Parts:
    """Return the parts of the product at a place of a file with all of them, whose first 2,000 reviews are labelled."""
    from scipy.sparse import csc_matrix

    columns, labels = csc_matrix(terms), _signs(file, signs.ravel())
    if len(offset) not in (len(PRODUCTS), len(PRODUCTS) + 1) or columns.shape[1] != len(labels):
        raise InputError(
            f"{file}: {len(offset)} offsets and {len(labels)} labels of {columns.shape[1]} reviews; expected one each"
        )
    begins = offset if offset[0] == 0 else offset - 1  # MATLAB counts from 1
    ends = np.append(begins, columns.shape[1])[1:]
    first, last = int(begins[place]), int(ends[place])
    cut = min(first + _LABELLED, first + round(_TRAIN_SHARE * (last - first)))

    def part(start: int, stop: int) -> Part:
        return columns[:TERMS, start:stop].T.toarray().astype(np.float32), labels[start:stop]

    return part(first, cut), part(cut, last)


def _signs(file: Path, signs: NDArray[Any]) -> NDArray[np.int64]:
    if not {*np.unique(signs).tolist()} <= {-1, 0, 1}:
        raise InputError(f"{file}: labels {np.unique(signs)[:5]}; expected -1 and 1")
    return (signs > 0).astype(np.int64)
