"""Scores of zero-shot predictions: accuracies, their intervals, and seen against unseen classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.functional.generalized import SeenUnseenCurve, harmonic_mean, seen_unseen_curve

__all__ = ["Answers"]

_TOP = 5
_RESAMPLES = 1000
_GRID = 51


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Scores of a test with labels.

    Attributes:
        scores: (N, C) among the candidates.
        labels: (N,) indices into the candidates.
        seen: (C,) True for classes seen in training.
        by_class: whether intervals treat the classes as a sample from many, or as fixed.
    """

    scores: NDArray[Any]
    labels: NDArray[np.int64]
    seen: NDArray[np.bool_]
    by_class: bool

    def metrics(self) -> dict[str, float]:
        """Return top-1 and its interval, top-5, mean per class and macro-F1 of the examples of unseen classes.

        Where some are of seen classes: both means per class and their harmonic mean, and the area under their curve.
        """
        from sklearn.metrics import f1_score

        asked = ~self.seen[self.labels]
        labels = self.labels[asked]
        ranked = np.argsort(-self.scores[asked], axis=1, kind="stable")[:, :_TOP]
        hits = ranked == labels[:, None]
        found = {
            "accuracy": float(hits[:, 0].mean()),
            "top5": float(hits.any(axis=1).mean()),
            "per_class": float(np.mean([hits[labels == label, 0].mean() for label in np.unique(labels)])),
            "macro_f1": float(f1_score(labels, ranked[:, 0], average="macro", zero_division=0)),
            "interval": _half_width(hits[:, 0], labels if self.by_class else np.arange(len(labels))),
        }
        if not asked.all():
            sides = self.sides(0.0)
            found |= {name: sides[name] for name in ("seen", "unseen", "harmonic")} | {"ausuc": self.curve().area}
        return found

    def curve(self) -> SeenUnseenCurve:
        """Return the accuracies under every gamma."""
        return seen_unseen_curve(*map(torch.from_numpy, (self.scores, self.labels, self.seen)))

    def sides(self, gamma: float) -> dict[str, float]:
        """Return seen and unseen mean accuracy per class, their harmonic mean and its interval, under a gamma."""
        answers = (self.scores - gamma * self.seen).argmax(axis=1)
        right = answers == self.labels
        classes = np.unique(self.labels)
        shares = np.array([right[self.labels == label].mean() for label in classes])
        of_seen, of_unseen = shares[self.seen[classes]], shares[~self.seen[classes]]
        draws = np.random.default_rng(0)
        seen, unseen = (draws.choice(side, size=(_RESAMPLES, len(side))).mean(axis=1) for side in (of_seen, of_unseen))
        low, high = np.quantile(_harmonic(seen, unseen), [0.025, 0.975])
        means = np.array([of_seen.mean(), of_unseen.mean()])
        return {
            "seen": float(means[0]),
            "unseen": float(means[1]),
            "harmonic": float(_harmonic(means[:1], means[1:])[0]),
            "interval": float(high - low) / 2,
        }

    def series(self) -> dict[str, dict[str, list[float]]]:
        """Return the curve of seen over unseen accuracy, on an axis that runs of all methods share."""
        axis = np.linspace(0, 1, _GRID)
        seen = self.curve().seen_where_unseen(torch.from_numpy(axis))
        return {"seen over unseen accuracy": {"unseen": axis.round(4).tolist(), "seen": seen.tolist()}}


def _harmonic(seen: NDArray[Any], unseen: NDArray[Any]) -> NDArray[Any]:
    return harmonic_mean(torch.from_numpy(seen), torch.from_numpy(unseen)).numpy()


def _half_width(hits: NDArray[np.bool_], clusters: NDArray[np.int64]) -> float:
    """Return half the 95 % interval of the mean of hits (N,), items of one cluster counting as one draw; NaN of one."""
    _, places = np.unique(clusters, return_inverse=True)
    count = int(places.max()) + 1
    if count < 2:
        return float("nan")
    deviations = np.bincount(places, weights=hits - hits.mean())
    return float(1.96 * np.sqrt(np.sum(deviations**2) * count / (count - 1)) / len(hits))
