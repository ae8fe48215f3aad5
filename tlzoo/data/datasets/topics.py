"""Tweets by sentiment and topic."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash, texts_of
from tlzoo.data.near_copies import are_copies
from tlzoo.data.splits import group_split
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.errors import InputError

__all__ = ["SENTIMENTS", "TOPICS", "read_tweets", "topics"]

_REVISION = 1
_CUTS = (0.6, 0.8)

SENTIMENTS = ("negative", "neutral", "positive")

TOPICS = {
    "airline": r"united|us ?airways|american ?air\w*|southwest ?air\w*|jet ?blue|virgin ?america",
    "football": r"deflate ?-?gate|deflated?|patriots|belichick|brady|nfl|super ?bowl\w*",
    "festival": r"coachella\w*",
    "apple": r"apple|aapl|iphone\w*|ipad\w*|ios",
    "cars": r"driver ?-?less|self ?-?driving|autonomous",
    "medicine": r"claritin\w*",
}
"""Topic -> its keywords, taken once from the searches by which the tweets were collected."""

_PATTERNS = {topic: re.compile(rf"[@#]?\b(?:{words})\b", re.IGNORECASE) for topic, words in TOPICS.items()}
_LINK = re.compile(r"https?://\S+")
_RETWEET = re.compile(r"^RT @\w+:? ?", re.IGNORECASE)


def topics(name: str) -> MultitaskTask:
    """Build ``topics``: tweets; targets ``sentiment`` (3) and ``topic`` (6).

    The topic is that of the keywords in a tweet, and the keywords are taken out of the text: what is left has to tell.
    It is missing (-1) where there is no keyword, or those of several topics. Retweets and copies that differ in links,
    signs and case alone are one group; 60 % of the groups train, 20 % validation, 20 % test. Texts that are equal
    apart from their keywords are dropped from training if validation or test has them, and from validation if the test
    has them.
    """
    identity = content_hash(_REVISION, sources.find_source("topics").identity, repr(TOPICS))
    with np.load(derived_folder("topics", identity, _make) / "tweets.npz") as arrays:
        whole = ExampleSet(
            inputs=arrays["texts"],
            modality="text",
            targets={"sentiment": arrays["sentiments"], "topic": arrays["topics"]},
            attributes={"group": arrays["groups"]},
            checksum=identity,
        )
    train, validation, test = (whole.subset(part) for part in group_split(whole.attributes["group"], *_CUTS))
    tested, held_out = texts_of(test), texts_of(validation)
    train = train.subset(~are_copies(texts_of(train), [*tested, *held_out]))
    validation = validation.subset(~are_copies(held_out, tested))
    return MultitaskTask(
        name=name,
        sources=("topics",),
        targets={"sentiment": Target(classes=len(SENTIMENTS)), "topic": Target(classes=len(TOPICS))},
        train=train,
        validation=validation,
        test=test,
    )


def _make(folder: Path) -> None:
    sentiments, texts = read_tweets(sources.path("topics"))
    np.savez(
        folder / "tweets.npz",
        texts=np.array([without_keywords(text) for text in texts]),
        sentiments=sentiments,
        topics=np.array([_topic(text) for text in texts]),
        # copies share a number, so that groups need no strings
        groups=np.unique([_bare(text) for text in texts], return_inverse=True)[1],
    )


def read_tweets(file: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Return sentiments (N,), as indices into :data:`SENTIMENTS`, and texts of a table.

    Raises:
        ValueError: the columns are not sentiment, confidence and text.
    """
    # the encodings are mixed; latin-1 reads all of them
    with file.open(encoding="latin-1", newline="") as lines:
        header, *rows = csv.reader(lines)
    if header != ["sentiment", "confidence", "text"]:
        raise InputError(f"{file.name} has the columns {', '.join(header)}; expected sentiment, confidence, text")
    return np.array([SENTIMENTS.index(row[0]) for row in rows]), [row[2] for row in rows]


def _topic(text: str) -> int:
    found = [place for place, pattern in enumerate(_PATTERNS.values()) if pattern.search(text)]
    return found[0] if len(found) == 1 else -1


def without_keywords(text: str) -> str:
    """Return a text without links and keywords.

    >>> without_keywords("Thanks @JetBlue, a great flight! http://t.co/x")
    'Thanks , a great flight!'
    """
    text = _LINK.sub(" ", text)
    for pattern in _PATTERNS.values():
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def _bare(text: str) -> str:
    """Return only the letters of a text, without links and the retweet mark."""
    return re.sub(r"[^a-z]+", " ", _LINK.sub(" ", _RETWEET.sub("", text)).lower()).strip()
