"""Builds one batch of several tasks from the batches of a loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tlzoo.data.tasks import Target
from tlzoo.errors import InputError, InputTypeError
from tlzoo.labels import target_labels
from tlzoo.types import TaskBatch

__all__ = ["parts_of", "task_batch"]


def task_batch(batch: Any, targets: Mapping[str, Target]) -> TaskBatch:
    """Return a batch with checked labels of every task, missing ones marked: -1 for classes, NaN for values.

    If a batch leaves out a task, all its labels are missing.

    Args:
        batch: a :class:`~tlzoo.types.TaskBatch`, or several to concatenate: a sequence, or a mapping such as
            Lightning's ``CombinedLoader`` returns. In a mapping, a pair (inputs, labels) belongs to the task of its
            key, and an exhausted loader gives None.
        targets: targets of the tasks.

    Raises:
        TypeError: the batch is of another kind, or its inputs cannot be concatenated.
        ValueError: labels do not fit the kind of their target; the message names task and row.
    """
    parts = [_labeled(part, targets) for part in _parts(batch, targets)]
    if len(parts) == 1:
        return parts[0]
    inputs = _one_below_the_other([part.inputs for part in parts])
    labels = {task: _joined([part.targets[task] for part in parts]) for task in targets}
    return TaskBatch(inputs=inputs, targets=labels)


def parts_of(batch: TaskBatch, count: int) -> list[TaskBatch]:
    """Return a batch in parts, which take turns at its rows.

    Raises:
        ValueError: it has fewer rows than parts.
    """
    if batch.size < count:
        raise InputError(
            f"a batch of {batch.size} for a method that needs {count} samples per step; give larger batches"
        )
    return [
        TaskBatch(
            inputs=batch.inputs[first::count],
            targets={name: each[first::count] for name, each in batch.targets.items()},
        )
        for first in range(count)
    ]


def _parts(batch: Any, targets: Mapping[str, Target]) -> list[TaskBatch]:
    """Return the parts of a batch."""
    if isinstance(batch, TaskBatch):
        return [batch]
    given: Iterable[tuple[Any, Any]] = ()
    if isinstance(batch, Mapping):
        given = batch.items()
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        given = enumerate(batch)
    parts = []
    for key, part in given:
        if isinstance(part, TaskBatch):
            parts.append(part)
        elif isinstance(part, tuple | list) and len(part) == 2 and key in targets:
            parts.append(TaskBatch(inputs=part[0], targets={key: part[1]}))
        elif part is not None:
            raise InputTypeError(
                f"a batch of type {type(part).__name__} under {key!r}; expected a TaskBatch, or under the name of a "
                f"task ({', '.join(targets)}) a pair (inputs, labels)"
            )
    if not parts:
        raise InputTypeError(
            f"a batch of type {type(batch).__name__}; expected a TaskBatch, or a mapping or sequence of them"
        )
    return parts


def _labeled(batch: TaskBatch, targets: Mapping[str, Target]) -> TaskBatch:
    """Return a batch with the labels of all tasks, with missing ones marked."""
    labels = {}
    for task, target in targets.items():
        labels[task] = _own_labels(batch, task, target) if task in batch.targets else _missing(target, batch)
    return TaskBatch(inputs=batch.inputs, targets=labels)


def _own_labels(batch: TaskBatch, task: str, target: Target) -> Tensor:
    """Return the labels of a task that the batch has."""
    what, given = f"labels of task {task!r}", batch.targets[task]
    if isinstance(given, Tensor) and given.ndim == 2 and given.shape[1] == 1:
        # a column suggests a comparison with outputs (B, 1)
        raise InputError(f"{what} of shape {tuple(given.shape)}; expected ({len(given)},): give labels.squeeze(1)")
    labels = target_labels(given, kind=str(target.kind), classes=target.classes, size=batch.size, what=what)
    return _marked(labels, batch.present[task]) if task in batch.present else labels


def _marked(labels: Tensor, present: Tensor) -> Tensor:
    """Return labels with missing ones marked."""
    there = present.view(-1, *[1] * (labels.ndim - 1)).to(labels.device)
    return labels.where(there, labels.new_tensor(_mark(labels)))


def _missing(target: Target, batch: TaskBatch) -> Tensor:
    """Return labels of a task that the batch leaves out."""
    shape = (batch.size, *{"dense": (1, 1), "normals": (3, 1, 1)}.get(str(target.kind), ()))
    known = [value for value in (batch.inputs, *batch.targets.values()) if isinstance(value, Tensor)]
    device = known[0].device if known else None
    if target.classes:
        return torch.full(shape, -1, dtype=torch.int64, device=device)
    return torch.full(shape, torch.nan, device=device)


def _mark(labels: Tensor) -> float:
    return torch.nan if labels.is_floating_point() else -1


def _joined(parts: list[Tensor]) -> Tensor:
    """Return the labels of one task from several batches; missing maps take the size of the others."""
    size = max((part.shape[1:] for part in parts), key=lambda shape: shape.numel())
    fitted = [part if part.shape[1:] == size else part.expand(len(part), *size) for part in parts]
    return torch.cat(fitted)


def _one_below_the_other(parts: list[Any]) -> Any:
    """Return inputs of several batches as one.

    Raises:
        TypeError: they are neither tensors of one shape nor lists.
    """
    if all(isinstance(part, Tensor) for part in parts) and len({part.shape[1:] for part in parts}) == 1:
        return torch.cat(parts)
    if all(isinstance(part, list | tuple) for part in parts):
        return [item for part in parts for item in part]
    said = ", ".join(str(tuple(p.shape)) if isinstance(p, Tensor) else type(p).__name__ for p in parts)
    raise InputTypeError(
        f"inputs of several loaders cannot be one batch: {said}; expected tensors whose items have one shape, or lists"
    )
