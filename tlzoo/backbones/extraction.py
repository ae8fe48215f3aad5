"""Runs a frozen network over a whole set, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.backbones.evaluation import evaluation
from tlzoo.errors import InputError
from tlzoo.types import Backbone

__all__ = ["OnProgress", "extract", "progress_bar"]

OnProgress = Callable[[int, int], None]
"""Called with the number of items done and of all items."""

_PATIENCE = 2.0
"""Seconds of work that need no bar."""


def extract(
    backbone: Backbone, inputs: Any, out: NDArray[Any], *, batch_size: int, on_progress: OnProgress | None
) -> None:
    """Write the features of all inputs (N, ...) into ``out`` (N, D); the network stays unchanged.

    Raises:
        ValueError: features are not finite, have another shape, or depend on how the set is batched.
    """
    _refuse_batch_statistics(backbone)
    device = next((p.device for p in backbone.parameters()), torch.device("cpu"))
    order = _order(backbone, inputs, len(out))
    with evaluation(backbone):
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = backbone.preprocess(inputs[rows])
            features = backbone(batch.to(device) if isinstance(batch, Tensor) else batch)
            out[rows] = _checked(backbone, features, rows, out)
            if on_progress is not None:
                on_progress(start + len(rows), len(order))


def _order(backbone: Backbone, inputs: Any, count: int) -> NDArray[np.int64]:
    """Return the order of the work: texts by decreasing length, which saves padding; everything else is the default."""
    rows = np.arange(count, dtype=np.int64)
    if backbone.modality != "text":
        return rows
    return np.argsort([-len(text) for text in inputs[rows]], kind="stable").astype(np.int64)


def _refuse_batch_statistics(backbone: Backbone) -> None:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    for name, module in backbone.named_modules():
        if isinstance(module, kinds) and module.running_mean is None:
            raise InputError(
                f"{backbone.name}: {name} normalizes by the batch at hand, so features depend on how the set is "
                "batched and cannot be cached; use running statistics, or run the network each time"
            )


def _checked(backbone: Backbone, features: Tensor, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
    expected = (len(rows), out.shape[1])
    if tuple(features.shape) != expected:
        raise InputError(f"{backbone.name} gave features of shape {tuple(features.shape)}; expected {expected}")
    # NumPy has no bfloat16; a value beyond the range of float16 is reported below, not warned of here
    values = features.float() if features.dtype == torch.bfloat16 else features
    with np.errstate(over="ignore"):
        array = values.cpu().numpy().astype(out.dtype)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InputError(
            f"{backbone.name}: features of item {rows[bad][0]} (and {int(bad.sum()) - 1} more of its batch) are not "
            f"finite as {out.dtype}; look at that input, at the weights, or choose a wider dtype"
        )
    return array


@contextmanager
def progress_bar(title: str) -> Iterator[OnProgress]:
    """Yield a function that shows progress on standard error once the work takes more than two seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    started = time.monotonic()
    shown: list[TaskID] = []

    def on_progress(done: int, total: int) -> None:
        if not shown and time.monotonic() - started > _PATIENCE:
            bar.start()
            shown.append(bar.add_task(title, total=total))
        for task in shown:
            bar.update(task, completed=done)

    try:
        yield on_progress
    finally:
        if shown:
            bar.stop()
