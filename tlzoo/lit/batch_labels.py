"""Class labels of batches, checked where they meet a module."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor

from tlzoo.errors import InputError, InputTypeError
from tlzoo.labels import class_labels, value_matrix
from tlzoo.types import DomainBatch, Episode, Examples, Sees, is_withheld

__all__ = ["with_checked_labels"]

B = TypeVar("B", DomainBatch, Examples, Episode)


def with_checked_labels(
    batch: B, *, sees: Collection[Sees], num_classes: int | None, num_values: int | None = None
) -> B:
    """Return a training batch whose labels are complete: int64 classes, or the real numbers (B, T) of a regression.

    Labels of a task batch are checked by :func:`tlzoo.lit.task_batches.task_batch`, and those of evaluations by
    :mod:`tlzoo.scoring`, which skip missing ones.

    Args:
        batch: a :class:`~tlzoo.types.DomainBatch`, :class:`~tlzoo.types.Examples` or :class:`~tlzoo.types.Episode`.
        sees: what the method declares to see; other labels are not read.
        num_classes: C of the labels; None if it is not known.
        num_values: T; None for classes.

    Raises:
        ValueError: labels have another shape, are no class indices, out of range or missing; the message names the row.
    """
    checked: B = _checked(batch, sees, num_classes, num_values)
    return checked


def _checked(batch: Any, sees: Collection[Sees], num_classes: int | None, num_values: int | None) -> Any:
    if isinstance(batch, DomainBatch):
        labels = {"source": Sees.SOURCE_LABELS, "target": Sees.TARGET_LABELS}
        parts = {side: getattr(batch, side) for side, needed in labels.items() if needed in sees} | {
            "shots": batch.shots
        }
        checked = {side: _examples(part, f"{side} labels", num_classes, num_values) for side, part in parts.items()}
        return replace(batch, **checked)
    if isinstance(batch, Examples):
        return _examples(batch, "labels", num_classes, num_values)
    if isinstance(batch, Episode):
        support, query = (_of_episodes(batch, name) for name in ("support", "query"))
        return replace(batch, support_labels=support, query_labels=query)
    expected = "a DomainBatch, Examples or an Episode of tlzoo.types"
    raise InputTypeError(f"a batch of type {type(batch).__name__}; expected {expected}, as the data modules give")


def _examples(part: Examples | None, what: str, num_classes: int | None, num_values: int | None) -> Examples | None:
    if part is None or is_withheld(part, "labels") or part.labels is None:
        return part
    if num_values is None:
        labels = class_labels(part.labels, num_classes=num_classes, size=part.size, complete=True, what=what)
    else:
        labels = value_matrix(part.labels, num_values=num_values, size=part.size, complete=True, what=what)
    return part if labels is part.labels else replace(part, labels=labels)


def _of_episodes(batch: Episode, part: str) -> Tensor:
    what, labels = f"{part}_labels", getattr(batch, f"{part}_labels")
    if labels is None:
        raise InputError(f"{what} are None, and training needs them; give an Episode its {what}")
    labels = class_labels(labels, num_classes=batch.way, complete=True, dims=2, what=what)
    expected = tuple(getattr(batch, part).shape[:2])
    if tuple(labels.shape) != expected:
        raise InputError(f"{what} of shape {tuple(labels.shape)}; expected {expected}, one for each {part} item")
    return labels
