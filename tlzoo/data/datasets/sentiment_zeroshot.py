"""Short texts by sentiment and tweets by topic, classified by descriptions alone."""

from __future__ import annotations

import numpy as np

from tlzoo.data.datasets.sentiment import load_sentiment
from tlzoo.data.datasets.text_zeroshot import ClassTexts, LabelledTexts, text_zeroshot
from tlzoo.data.datasets.topics import TOPICS, topics
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import ZeroShotTask

__all__ = ["SENTIMENT_TEXTS", "TOPIC_TEXTS", "sentiment_zeroshot", "topics_zeroshot"]

SENTIMENT_TEXTS = {
    "negative": ClassTexts("negative sentiment", "it is bad, disappointing, sad or annoying"),
    "positive": ClassTexts("positive sentiment", "it is good, pleasant, enjoyable or impressive"),
}
"""Sentiment -> its description, written once before any result was known."""

TOPIC_TEXTS = {
    "airline": ClassTexts("an airline", "flights, delays, luggage and customer service of an airline"),
    "football": ClassTexts("American football", "a football game, the players, the coach and the score"),
    "festival": ClassTexts("a music festival", "a music festival, its lineup, tickets and the weekend in the desert"),
    "apple": ClassTexts("a technology company", "phones, computers, software and the stock of a technology company"),
    "cars": ClassTexts("cars without a driver", "cars that drive on their own, traffic, safety and robots"),
    "medicine": ClassTexts("allergy medicine", "allergies, sneezing, pollen and pills against them"),
}
"""Topic -> the same; the descriptions avoid the keywords that labelled the tweets and were removed from them."""


def sentiment_zeroshot(name: str, *, place: str) -> ZeroShotTask:
    """Build ``sentiment-zeroshot:PLACE``: all texts of a place, negative or positive, without labels.

    Places differ in their share of positive texts, so the mean per class says more than accuracy.
    """
    examples, _ = load_sentiment(place)
    assert examples.labels is not None
    texts, categories = np.asarray(examples.inputs[np.arange(len(examples))]), np.array(list(SENTIMENT_TEXTS))
    return text_zeroshot(name, SENTIMENT_TEXTS, texts, categories[examples.labels], source="sentiment")


def topics_zeroshot(name: str) -> ZeroShotTask:
    """Build ``topics-zeroshot``: the test tweets of ``topics`` that have a topic, without labels."""
    whole = topics(name)
    texts, categories = _with_topic(whole.test)
    development = _with_topic(whole.train)
    return text_zeroshot(name, TOPIC_TEXTS, texts, categories, source="topics", development=development)


def _with_topic(tweets: ExampleSet) -> LabelledTexts:
    labels = tweets.targets["topic"]
    known = tweets.subset(labels >= 0)
    return np.asarray(known.inputs[np.arange(len(known))]), np.array(list(TOPICS))[labels[labels >= 0]]
