"""Sentiment of short texts from four kinds of places, with adaptation between them."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.example_set import ExampleSet, content_hash, texts_of
from tlzoo.data.near_copies import are_copies
from tlzoo.data.splits import group_split
from tlzoo.data.tasks import DomainTask

__all__ = ["PLACES", "load_ratings", "load_sentiment", "sentiment_adaptation", "sentiment_rating"]

PLACES = {
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "movies": "movieReviewSnippets_GroundTruth.txt",
    "news": "nytEditorialSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
}
"""Place -> its file in the archive, with identifier, mean rating by twenty people (-4 to 4), and text."""

_CLASS_NAMES = ("negative", "positive")
_LEAST_RATING = 0.5
_TRAIN_SHARE = 0.7
_REVISION = 1


def sentiment_adaptation(name: str, *, source: str, target: str) -> DomainTask:
    """Build ``sentiment:S->T``: negative or positive, 70 % of the documents for training, the rest for the test.

    Texts with a mean rating below 0.5 in magnitude are left out. Snippets of one document stay together, and texts that
    stand in a test set, too, leave the training sets. As places differ in their share of positive texts, accuracy is
    balanced.

    Args:
        name: name of the task.
        source: place with labels, one of :data:`PLACES`.
        target: place to adapt to.
    """
    sides = _sides(load_sentiment(source), load_sentiment(target))
    return DomainTask(name=name, class_names=_CLASS_NAMES, sources=("sentiment",), metric="balanced_accuracy", **sides)


def sentiment_rating(name: str, *, source: str, target: str) -> DomainTask:
    """Build ``sentiment-rating:S->T``: the mean rating of a text by twenty people, from -4 to 4, a regression.

    All texts count. They are split as those of ``sentiment:S->T`` are: 70 % of the documents for training, and texts
    that stand in a test set, too, leave the training sets.

    Args:
        name: name of the task.
        source: place with ratings, one of :data:`PLACES`.
        target: place to adapt to.
    """
    sides = _sides(load_ratings(source), load_ratings(target))
    return DomainTask(name=name, value_names=("rating",), sources=("sentiment",), **sides)


def _sides(*places: tuple[ExampleSet, NDArray[np.str_]]) -> dict[str, Any]:
    """Return training and test sets of source and target from the examples of both, and their documents."""
    sides: dict[str, Any] = {}
    for side, (examples, documents) in zip(("source", "target"), places, strict=True):
        train, test = group_split(documents, _TRAIN_SHARE)
        sides[f"{side}_train"], sides[f"{side}_test"] = examples.subset(train), examples.subset(test)
    tested = [text for side in ("source", "target") for text in texts_of(sides[f"{side}_test"])]
    for side in ("source_train", "target_train"):
        sides[side] = sides[side].subset(~are_copies(texts_of(sides[side]), tested))
    return sides


def load_ratings(place: str) -> tuple[ExampleSet, NDArray[np.str_]]:
    """Return all texts of a place with their mean rating (N, 1), and the document (N,) of each text.

    Raises:
        KeyError: there is no such place.
        SourceError: the source cannot be fetched or is damaged.
    """
    rows = _read(sources.path("sentiment"), PLACES[place])
    examples = ExampleSet(
        inputs=np.array([text for _, _, text in rows]),
        modality="text",
        labels=np.array([rating for _, rating, _ in rows]),
        checksum=content_hash(sources.find_source("sentiment").identity, place, "rating", _REVISION),
        regression=True,
    )
    return examples, np.array([key.partition("_")[0] for key, _, _ in rows])


def load_sentiment(place: str) -> tuple[ExampleSet, NDArray[np.str_]]:
    """Return the texts of a place with labels, and the document (N,) of each text.

    Raises:
        KeyError: there is no such place.
        SourceError: the source cannot be fetched or is damaged.
    """
    rows = _read(sources.path("sentiment"), PLACES[place])
    kept = [(key, rating, text) for key, rating, text in rows if abs(rating) >= _LEAST_RATING]
    documents = np.array([key.partition("_")[0] for key, _, _ in kept])
    examples = ExampleSet(
        inputs=np.array([text for _, _, text in kept]),
        modality="text",
        labels=np.array([int(rating > 0) for _, rating, _ in kept], dtype=np.int64),
        checksum=content_hash(sources.find_source("sentiment").identity, place, _LEAST_RATING, _REVISION),
    )
    return examples, documents


def _read(folder: Path, member: str) -> list[tuple[str, float, str]]:
    archives = [folder] if folder.is_file() else sorted(folder.rglob("*.tar.gz"))
    with tarfile.open(archives[0]) as archive:
        (found,) = [info for info in archive.getmembers() if info.isfile() and Path(info.name).name == member]
        file = archive.extractfile(found)
        assert file is not None
        lines = file.read().decode("latin-1").splitlines()
    rows = [line.split("\t", 2) for line in lines if line.strip()]
    return [(key, float(rating), text) for key, rating, text in rows]
