"""Reuters news by topic, told apart by the topics' descriptions alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.sets import ExampleSet, content_hash
from tlzoo.data.tasks import ZeroShotTask

__all__ = ["R8_PHRASES", "read_tab", "reuters_r8"]

R8_PHRASES = {
    "acq": "mergers and acquisitions",
    "crude": "crude oil",
    "earn": "company earnings",
    "grain": "grain and crops",
    "interest": "interest rates",
    "money-fx": "foreign exchange and the money market",
    "ship": "shipping",
    "trade": "international trade",
}
"""Topic -> the phrase that describes it, written once and before any result was looked at."""

_CHARACTERS = 600
_HEADER_LINES = 3


def reuters_r8(name: str) -> ZeroShotTask:
    """Build ``reuters-r8``: the whole test set of R8, the first 600 characters of each document, no label seen."""
    texts, topics = read_tab(sources.path("reuters") / "reuters-r8-test.tab", characters=_CHARACTERS)
    names = tuple(R8_PHRASES)
    nothing = np.empty(0, dtype=np.int64)
    return ZeroShotTask(
        name=name,
        class_names=names,
        sources=("reuters",),
        descriptions=tuple(R8_PHRASES.values()),
        seen=nothing,
        held_out=nothing,
        unseen=np.arange(len(names)),
        test=ExampleSet(
            inputs=texts,
            modality="text",
            labels=np.array([names.index(topic) for topic in topics.tolist()]),
            checksum=content_hash(sources.find_source("reuters").identity, _CHARACTERS),
        ),
    )


def read_tab(file: Path, *, characters: int) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Read an Orange ``.tab`` file of category and text, three header lines, quotes without meaning.

    Returns:
        Texts (N,), cut after ``characters``, and categories (N,).

    Raises:
        ValueError: a line has not two columns.
    """
    lines = file.read_text("utf-8").split("\n")[_HEADER_LINES:]
    rows = [line.rstrip("\r").split("\t") for line in lines if line.strip()]
    for number, row in enumerate(rows, start=_HEADER_LINES + 1):
        if len(row) != 2:
            raise ValueError(f"{file.name}, line {number}: {len(row)} columns; expected category and text")
    return np.array([text[:characters] for _, text in rows]), np.array([category for category, _ in rows])
