"""Answers among described classes: accuracies, their intervals, and seen against unseen classes."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from tlzoo.functional.generalized import SeenUnseenCurve, harmonic_mean, seen_unseen_curve
from tlzoo.scoring.base import Scores
from tlzoo.scoring.classification import ClassScores, mean

__all__ = ["ZeroShotScores"]

_TOP = 5
_RESAMPLES = 1000
_GRID = 51


class ZeroShotScores(Scores):
    """Answers among classes that have a description; the unseen ones have no training example.

    For examples of unseen classes: the scores of :class:`~tlzoo.scoring.ClassScores`, ``per_class`` (the field's name
    for the balanced accuracy), ``top5``, and ``interval``, half the width of the 95 % interval of the accuracy. The
    generalized protocol adds ``seen`` and ``unseen``, the means over the classes of each side, their ``harmonic`` mean,
    and ``ausuc``, the area under the curve of seen over unseen accuracy.

    Args:
        seen: (C,) True for candidates seen in training; if all are, there is nothing to compare with, and they count
            as unseen.
        by_class: whether intervals treat the classes as a sample from many, or as fixed.
    """

    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, seen: NDArray[np.bool_], *, by_class: bool = True) -> None:
        super().__init__(compute_on_cpu=True)
        self.seen = seen & (not seen.all())
        self.by_class = by_class
        self.add_state("scores", [], "cat")
        self.add_state("labels", [], "cat")

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Add scores (B, C) of the candidates, and labels (B,), which index the candidates.

        Raises:
            ValueError: the number of scores is not the number of candidates.
        """
        if scores.ndim != 2 or scores.shape[1] != len(self.seen):
            raise ValueError(
                f"scores of shape {tuple(scores.shape)}; expected (N, {len(self.seen)}), one per candidate"
            )
        self.scores.append(scores.detach().to(torch.promote_types(scores.dtype, torch.float32)))
        self.labels.append(labels)

    def collected(self) -> tuple[Tensor, Tensor]:
        """Return all scores (N, C) and labels (N,)."""
        return dim_zero_cat(self.scores).cpu(), dim_zero_cat(self.labels).cpu()

    def counted(self) -> ClassScores:
        """Return the counts of all answers, of examples of seen classes too."""
        counted = ClassScores(len(self.seen))
        counted.update(*self.collected())
        return counted

    def compute(self) -> dict[str, float]:
        """Return the figures."""
        scores, labels = self.collected()
        of_unseen = ~torch.from_numpy(self.seen)[labels]
        scores, labels = scores[of_unseen], labels[of_unseen]
        found = ClassScores(len(self.seen)).of(scores, labels)
        best = scores.argsort(dim=1, descending=True, stable=True)[:, :_TOP]
        right = np.equal(best.numpy(), labels.numpy()[:, None])
        found |= {
            "top5": mean(right.any(axis=1)),
            "per_class": found["balanced_accuracy"],
            "interval": _half_width(right[:, 0], labels.numpy() if self.by_class else np.arange(len(labels))),
        }
        if of_unseen.any() and not of_unseen.all():
            sides = self.sides(0.0)
            found |= {name: sides[name] for name in ("seen", "unseen", "harmonic")} | {"ausuc": self.curve().area}
        return found

    def curve(self) -> SeenUnseenCurve:
        """Return the accuracies under every gamma."""
        return seen_unseen_curve(*self.collected(), torch.from_numpy(self.seen))

    def sides(self, gamma: float) -> dict[str, float]:
        """Return ``seen``, ``unseen``, their ``harmonic`` mean and its ``interval``, seen scores lowered by gamma."""
        scores, labels = self.collected()
        lowered = scores.numpy() - gamma * self.seen
        counted = ClassScores(len(self.seen))
        counted.count(torch.from_numpy(lowered.argmax(axis=1)), labels)
        examples, right, _ = counted.by_class().T
        shares = right / np.maximum(examples, 1)
        of_seen, of_unseen = shares[self.seen & (examples > 0)], shares[~self.seen & (examples > 0)]
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
        """Return the curve of seen over unseen accuracy, on an axis shared by the runs of all methods."""
        axis = np.linspace(0, 1, _GRID)
        seen = self.curve().seen_where_unseen(torch.from_numpy(axis))
        return {"seen over unseen accuracy": {"unseen": axis.round(4).tolist(), "seen": seen.tolist()}}


def _harmonic(seen: NDArray[np.float64], unseen: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(harmonic_mean(torch.from_numpy(seen), torch.from_numpy(unseen)))


def _half_width(right: NDArray[np.bool_], clusters: NDArray[np.int64]) -> float:
    """Return half the width of the 95 % interval of the mean of (N,); a cluster counts as one draw; NaN for one."""
    _, places = np.unique(clusters, return_inverse=True)
    count = int(places.max(initial=-1)) + 1
    if count < 2:
        return math.nan
    deviations = np.bincount(places, weights=right - right.mean())
    return float(1.96 * np.sqrt(np.sum(deviations**2) * count / (count - 1)) / len(right))
