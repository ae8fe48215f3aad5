"""Texts classified by descriptions of their classes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.example_set import ExampleSet, content_hash, texts_of
from tlzoo.data.near_copies import are_copies
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.errors import InputError

__all__ = ["CHARACTERS", "ClassTexts", "LabelledTexts", "read_tab", "tab_zeroshot", "text_zeroshot"]

CHARACTERS = 600
"""Length that documents are cut to, about what a sentence encoder with 256 tokens reads."""

_HEADER_LINES = 3
_DEVELOPMENT = 2000

LabelledTexts = tuple[NDArray[np.str_], NDArray[np.str_]]


@dataclass(frozen=True)
class ClassTexts:
    """The descriptions of a class.

    Attributes:
        phrase: a few words that name the class.
        gloss: a sentence about the content of such texts.
    """

    phrase: str
    gloss: str


def text_zeroshot(
    name: str,
    classes: Mapping[str, ClassTexts],
    texts: NDArray[np.str_],
    categories: NDArray[np.str_],
    *,
    source: str,
    development: LabelledTexts | None = None,
) -> ZeroShotTask:
    """Build a task without training: texts (N,), cut after :data:`CHARACTERS`, of categories (N,).

    Phrases are what the classes are described by; glosses are another wording. Of ``development``, texts (M,) and their
    categories (M,), prompts and settings may be chosen; 2,000 of them are taken, a fixed draw, without those that stand
    in the test, too.

    Raises:
        ValueError: a category has no description.
    """
    names = tuple(classes)
    nothing = np.empty(0, dtype=np.int64)
    identity = sources.find_source(source).identity

    def examples(texts: NDArray[np.str_], categories: NDArray[np.str_], part: str) -> ExampleSet:
        return ExampleSet(
            inputs=np.array([text[:CHARACTERS] for text in texts.tolist()]),
            modality="text",
            labels=np.array([names.index(category) for category in categories.tolist()]),
            checksum=content_hash(identity, part, CHARACTERS),
        )

    def rest(texts_to_choose_on: NDArray[np.str_], of: NDArray[np.str_]) -> ExampleSet:
        known = examples(texts_to_choose_on, of, f"{name} development")
        return known.subset(~are_copies(texts_of(known), texts_of(test)))

    if unknown := sorted(set(categories.tolist()) - set(names)):
        raise InputError(f"{name}: no description of {', '.join(unknown)}")
    test = examples(texts, categories, name)
    return ZeroShotTask(
        name=name,
        class_names=names,
        sources=(source,),
        descriptions=tuple(classes[key].phrase for key in names),
        wordings={"gloss": tuple(classes[key].gloss for key in names)},
        seen=nothing,
        held_out=nothing,
        unseen=np.arange(len(names)),
        test=test,
        development=None if development is None else rest(*_drawn(*development, names)),
    )


def _drawn(texts: NDArray[np.str_], categories: NDArray[np.str_], names: tuple[str, ...]) -> LabelledTexts:
    """Return a fixed draw of the texts whose category is among the names; one source has a stray label."""
    known = np.flatnonzero(np.isin(categories, names))
    kept = np.sort(np.random.default_rng(0).permutation(known)[:_DEVELOPMENT])
    return texts[kept], categories[kept]


def tab_zeroshot(
    name: str, classes: Mapping[str, ClassTexts], file: str, *, source: str, development: str
) -> ZeroShotTask:
    """Build a task from two ``.tab`` files, test and ``development``; see :func:`text_zeroshot`."""
    test, other = (
        read_tab(path, characters=CHARACTERS)
        for part in (file, development)
        for path in sources.path(source).rglob(part)
    )
    return text_zeroshot(name, classes, *test, source=source, development=other)


def read_tab(file: Path, *, characters: int) -> LabelledTexts:
    """Read an Orange ``.tab`` file with category and text, three header lines and no quoting.

    Returns:
        Texts (N,), cut after ``characters``, and categories (N,).

    Raises:
        ValueError: a line does not have two columns.
    """
    lines = file.read_text("utf-8").split("\n")[_HEADER_LINES:]
    rows = [line.rstrip("\r").split("\t") for line in lines if line.strip()]
    for number, row in enumerate(rows, start=_HEADER_LINES + 1):
        if len(row) != 2:
            raise InputError(f"{file.name}, line {number}: {len(row)} columns; expected category and text")
    return np.array([text[:characters] for _, text in rows]), np.array([category for category, _ in rows])
