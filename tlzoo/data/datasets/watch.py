"""Exercises recorded by a watch, with adaptation from one person to another."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tlzoo import sources
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import DomainTask

__all__ = ["PAIRS", "load_watch", "watch_adaptation"]

PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
"""Pairs of source and target person, fixed before any result was known."""

_WINDOW = 100
_TRAIN_STEP = 50
_TRAIN_SHARE = 0.7
_REVISION = 1


def watch_adaptation(name: str, *, source: int, target: int) -> DomainTask:
    """Build ``watch:I->J``: seven exercises, windows of 100 time steps with six channels.

    The first 70 % of each recording are for training, in windows that overlap by half. The rest is for the test, in
    windows that do not overlap. No time step is in both.

    Args:
        name: name of the task.
        source: person with labels.
        target: person to adapt to.
    """
    recordings = load_watch()
    sides: dict[str, Any] = {}
    for side, person in (("source", source), ("target", target)):
        sides[f"{side}_train"] = _windows(recordings, person, train=True)
        sides[f"{side}_test"] = _windows(recordings, person, train=False)
    return DomainTask(name=name, class_names=recordings["names"], sources=("watch",), **sides)


@lru_cache(maxsize=1)
def load_watch() -> dict[str, Any]:
    """Return ``series`` (a list of (time, 6) arrays), ``labels`` and ``people`` (one each), and class ``names``.

    Raises:
        SourceError: the source cannot be fetched or is damaged.
    """
    path = sources.path("watch")
    file = path if path.is_file() else next(Path(path).rglob("*.npy"))
    # a pickle; the source manager verified the checksum of the archive
    stored = np.load(file, allow_pickle=True).item()
    return {
        "series": [np.asarray(series, dtype=np.float32) for series in stored["X"]],
        "labels": np.asarray(stored["y"], dtype=np.int64),
        "people": np.asarray(stored["subject"], dtype=np.int64),
        "names": tuple(stored["y_labels"]),
    }


def _windows(recordings: dict[str, Any], person: int, *, train: bool) -> ExampleSet:
    cut_windows, labels = [], []
    for place in np.flatnonzero(recordings["people"] == person):
        series = recordings["series"][place]
        cut = round(_TRAIN_SHARE * len(series))
        part = series[:cut] if train else series[cut:]
        starts = range(0, len(part) - _WINDOW + 1, _TRAIN_STEP if train else _WINDOW)
        cut_windows += [part[start : start + _WINDOW] for start in starts]
        labels += [recordings["labels"][place]] * len(starts)
    identity = (sources.find_source("watch").identity, person, train, _WINDOW, _TRAIN_STEP, _TRAIN_SHARE, _REVISION)
    return ExampleSet(
        inputs=np.stack(cut_windows),
        modality="series",
        labels=np.array(labels, dtype=np.int64),
        checksum=content_hash(*identity),
    )
