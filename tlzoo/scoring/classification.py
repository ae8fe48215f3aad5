"""Answers among classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.labels import class_labels
from tlzoo.scoring.base import Scores

__all__ = ["CLASS_FIGURES", "ClassScores", "Counts", "mean"]

Counts = NDArray[np.int64]


class ClassScores(Scores):
    """Answers among C classes: scores, counts of each class, and for at most 100 classes the confusion matrix.

    ``accuracy`` is the share of correct answers (micro). ``balanced_accuracy`` is the mean recall over classes that
    have examples, as in scikit-learn. ``macro_accuracy`` is the mean recall over classes that have examples or occur
    among the answers, as the macro recall of scikit-learn and torchmetrics: a class without examples that is answered
    counts 0. ``macro_f1`` is the mean over the same classes. Without examples, all are NaN.

    Args:
        num_classes: C.
        metric: the score that is the headline.
        groups: names of groups of examples, such as several targets; each adds a score of its name, its headline.
        unknown: in open-set tasks, the class of everything unknown in training. It adds ``os_star``, the mean over
            known classes, ``unknown``, the accuracy on unknown examples, and ``h_score``, their harmonic mean (Bucci et
            al., ECCV 2020, https://arxiv.org/abs/2007.12360), which is 0 if "unknown" is never answered.

    Raises:
        ValueError: the metric is unknown.

    >>> scores = ClassScores(3, metric="balanced_accuracy")
    >>> scores.update(torch.eye(3)[[0, 0, 0, 0]], torch.tensor([0, 0, 0, 1]))
    >>> {name: round(value, 3) for name, value in scores.compute().items()}
    {'accuracy': 0.75, 'balanced_accuracy': 0.5, 'macro_accuracy': 0.5, 'macro_f1': 0.429}
    """

    most_confused: ClassVar[int] = 100
    """Largest number of classes with a confusion matrix; the counts of each class are always kept."""
    counts: Tensor
    confusion: Tensor

    def __init__(
        self, num_classes: int, *, metric: str = "accuracy", groups: Sequence[str] = (), unknown: int | None = None
    ) -> None:
        super().__init__()
        check_choice(metric, tuple(CLASS_FIGURES), what="metric")
        self.num_classes, self.headline, self.groups, self.unknown = num_classes, metric, tuple(groups), unknown
        size = num_classes if num_classes <= self.most_confused else 0
        self.add_state("counts", torch.zeros(max(len(self.groups), 1), num_classes, 3, dtype=torch.long), "sum")
        self.add_state("confusion", torch.zeros(size, size, dtype=torch.long), "sum")

    def update(self, logits: Tensor, labels: Tensor, groups: Tensor | None = None) -> None:
        """Add scores (B, C), whose first maximum is the answer, and labels (B,), negative if unknown.

        Args:
            logits: scores.
            labels: in ``range(C)``.
            groups: (B,) indices into ``groups``.

        Raises:
            ValueError: the number of classes or labels does not fit, or a label is out of range.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise ValueError(f"scores of shape {tuple(logits.shape)}; expected (N, {self.num_classes}), one per class")
        self.count(logits.argmax(dim=1), labels, groups)

    def count(self, answers: Tensor, labels: Tensor, groups: Tensor | None = None) -> None:
        """Add answers (B,) in ``range(C)``; see :meth:`update`."""
        size = self.num_classes
        labels = class_labels(labels, num_classes=size, size=len(answers))
        known = labels >= 0
        answers, labels = answers[known], labels[known]
        first = size * (torch.zeros_like(labels) if groups is None else groups[known])
        places = (first + labels, (first + labels)[answers == labels], first + answers)
        self.counts += torch.stack([_occurrences(own, self.counts[..., 0]) for own in places], dim=-1)
        if len(self.confusion):
            self.confusion += _occurrences(labels * size + answers, self.confusion)

    def by_class(self) -> Counts:
        """Return (C, 3): for each class its examples, how many of them are correct, and how often it is the answer."""
        return np.asarray(self.counts.sum(dim=0).cpu())

    def tables(self) -> dict[str, NDArray[np.int32]]:
        """Return the integers that are stored for an answered set.

        ``counts`` (K, 4): of every class that occurs its index, and its counts as in :meth:`by_class`. ``confusion``
        (C, C): examples by label and answer; left out above 100 classes.
        """
        counts = self.by_class()
        occurs = np.flatnonzero(counts.any(axis=1))
        found = {"counts": np.column_stack([occurs, counts[occurs]]).astype(np.int32)}
        return found | ({"confusion": self.confusion.cpu().numpy().astype(np.int32)} if len(self.confusion) else {})

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        counts = self.by_class()
        found = {name: figure(counts) for name, figure in CLASS_FIGURES.items()}
        for name, own in zip(self.groups, self.counts.cpu().numpy(), strict=False):
            found[name] = CLASS_FIGURES[self.headline](own)
        return found if self.unknown is None else found | _open_set(counts, self.unknown)


def _occurrences(places: Tensor, like: Tensor) -> Tensor:
    """Return how often each flat index of ``like`` occurs among the indices (B,), in the shape of ``like``."""
    return torch.bincount(places, minlength=like.numel()).view_as(like)


def mean(values: NDArray[Any]) -> float:
    """Return the mean of (N,), or NaN if it is empty."""
    return float(values.mean()) if len(values) else math.nan


def _recalls(counts: Counts) -> NDArray[np.float64]:
    """Return the recall of each class (C,), 0 for classes without examples."""
    examples, right, _ = counts.T
    shares: NDArray[np.float64] = right / np.maximum(examples, 1)
    return shares


def _accuracy(counts: Counts) -> float:
    examples, right, _ = counts.sum(axis=0)
    return float(right / examples) if examples else math.nan


def _balanced_accuracy(counts: Counts) -> float:
    return mean(_recalls(counts)[counts[:, 0] > 0])


def _macro_accuracy(counts: Counts) -> float:
    return mean(_recalls(counts)[counts[:, 0] + counts[:, 2] > 0])


def _macro_f1(counts: Counts) -> float:
    examples, right, answered = counts[counts[:, 0] + counts[:, 2] > 0].T
    return mean(2 * right / (examples + answered))


def _open_set(counts: Counts, unknown: int) -> dict[str, float]:
    known, others = _balanced_accuracy(np.delete(counts, unknown, axis=0)), _accuracy(counts[unknown : unknown + 1])
    harmonic = 2 * known * others / (known + others) if known + others else 0.0
    return {"os_star": known, "unknown": others, "h_score": harmonic}


CLASS_FIGURES: dict[str, Callable[[Counts], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_accuracy": _macro_accuracy,
    "macro_f1": _macro_f1,
}
"""Name -> score of the counts (C, 3) of classes; each may be a task's ``metric``."""
