"""Calibration and per-class accuracy, computed from logits and labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["expected_calibration_error", "macro_f1", "negative_log_likelihood"]


def expected_calibration_error(logits: ArrayLike, labels: ArrayLike, *, bins: int = 15) -> float:
    r"""Return the expected calibration error of the softmax (Guo et al., ICML 2017), https://arxiv.org/abs/1706.04599.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} \left| \mathrm{accuracy}_b - \mathrm{confidence}_b \right|

    over bins of equal width in confidence. A bin includes its upper edge.

    Args:
        logits: (N, C).
        labels: (N,) class indices.
        bins: number of bins.

    Raises:
        ValueError: the shapes do not fit, there is no example, or a label is out of range.

    >>> expected_calibration_error([[100.0, 0.0], [100.0, 0.0]], [0, 1])
    0.5
    """
    from scipy.special import softmax

    scores, truth = _checked(logits, labels)
    probabilities = softmax(scores, axis=1)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


def negative_log_likelihood(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean cross-entropy, in nats, of logits (N, C) and labels (N,).

    Raises:
        ValueError: see :func:`expected_calibration_error`.

    >>> round(negative_log_likelihood([[0.0, 0.0]], [1]), 4)
    0.6931
    """
    from scipy.special import log_softmax

    scores, truth = _checked(logits, labels)
    return float(-log_softmax(scores, axis=1)[np.arange(len(truth)), truth].mean())


def macro_f1(logits: ArrayLike, labels: ArrayLike) -> float:
    r"""Return the mean F1 over classes, of logits (N, C) and labels (N,).

    .. math:: F_1 = \frac{2 \, \mathrm{tp}}{2 \, \mathrm{tp} + \mathrm{fp} + \mathrm{fn}}

    Classes that neither occur nor are predicted do not count.

    Raises:
        ValueError: see :func:`expected_calibration_error`.

    >>> macro_f1([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0, 1])
    0.3333333333333333
    """
    scores, truth = _checked(logits, labels)
    classes = scores.shape[1]
    predicted = scores.argmax(axis=1)
    hits = np.bincount(truth[predicted == truth], minlength=classes)
    both = np.bincount(truth, minlength=classes) + np.bincount(predicted, minlength=classes)
    return float((2 * hits[both > 0] / both[both > 0]).mean())


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or not len(truth):
        raise ValueError(f"logits {scores.shape} and labels {truth.shape}; expected (N, C) and (N,), N at least 1")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(f"labels from {truth.min()} to {truth.max()} for {scores.shape[1]} classes")
    return scores, truth.astype(np.int64)
