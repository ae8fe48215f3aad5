"""Common parts of protocols: a quiet trainer, progress, splits and receipts."""

from __future__ import annotations

import inspect
import itertools
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.bench.cell import Cell, Report
from tlzoo.bench.dependence import TOLERANCE
from tlzoo.bench.execute import undisturbed
from tlzoo.bench.loggers import close_loggers, log_measured, make_loggers
from tlzoo.bench.tpe_search import sampled
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.lit.data.base import TaskData
from tlzoo.methods.base import Method
from tlzoo.registry import method_class
from tlzoo.types import Sees, SupervisionError

__all__ = [
    "as_array",
    "divided",
    "grid",
    "optimizer_settings",
    "plain",
    "receipt",
    "split_hash",
    "train",
    "trained_parameters",
    "trials",
    "tune",
]

CHECKPOINTS = 10
"""Number of checkpoints of a run, which are measured and among which selection chooses."""

_OPTIMIZER = ("name", "lr", "backbone_lr", "momentum", "nesterov", "weight_decay", "schedule")


def optimizer_settings(cell: Cell) -> dict[str, Any]:
    """Return the optimizer's settings among the module's."""
    return {name: value for name, value in cell.module.items() if name in _OPTIMIZER}


def split_hash(examples: ExampleSet) -> str:
    """Identity of a test split: its inputs and labels."""
    return content_hash(examples.checksum, np.empty(0) if examples.labels is None else examples.labels)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's hints about loggers, workers and hardware, which protocols decide."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)


Measure = Callable[[int], Mapping[str, float]]
"""Measures the network after a number of steps, and logs the result."""


class _Progress(pl.Callback):
    """Reports progress, and calls ``measure`` at every checkpoint, on whole sets."""

    def __init__(self, steps: int, report: Report, measure: Measure | None, data: TaskData[Any]) -> None:
        self.steps, self.report, self.measure, self.data = steps, report, measure, data

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        step = trainer.global_step
        if step % max(self.steps // 50, 1) == 0:
            self.report(step / self.steps)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.measure is not None:
            module.eval()
            self.data.divided = False
            with torch.no_grad():
                log_measured(trainer.loggers, self.measure(trainer.global_step), trainer.global_step)
            self.data.divided = True
            module.train()


def train(
    module: pl.LightningModule,
    data: TaskData[Any],
    cell: Cell,
    *,
    steps: int,
    report: Report,
    measure: Measure | None = None,
) -> pl.Trainer:
    """Train for a number of steps, measuring at ten checkpoints; return the trainer.

    It runs on the device in the cell's ``trainer``, by default the CPU with one thread. For a cell with several
    devices, the other processes already exist (:mod:`tlzoo.bench.distributed_worker`).
    """
    data.divided = True
    with _quiet():
        with undisturbed():
            loggers = make_loggers(cell)
        trainer = pl.Trainer(
            **{"accelerator": "cpu", "devices": 1, **plain(cell.trainer)},
            max_steps=steps,
            logger=loggers or False,
            plugins=[
                LightningEnvironment()
            ],  # SLURM or torchrun may have launched this process, but not the ranks of this cell
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            log_every_n_steps=max(steps // CHECKPOINTS, 1),
            callbacks=[_Progress(steps, report, measure, data)],
        )
        trainer.fit(module, datamodule=data)
        with undisturbed():
            close_loggers(loggers)
    data.divided = False
    module.eval()
    return trainer


def trained_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def receipt(
    method: Method, dependence: Mapping[str, float], *, shown: Collection[Sees] = (), **notes: Any
) -> dict[str, Any]:
    """Return the supervision part of a result.

    Args:
        method: the method.
        dependence: how much its predictions change with the test batch.
        shown: what training used beyond the declaration for predictions.
        notes: further notes for readers.

    Raises:
        SupervisionError: predictions depend on the test batch, but the method does not declare TEST_INPUTS.
    """
    depends = max(dependence.values(), default=0.0) > TOLERANCE
    if depends and Sees.TEST_INPUTS not in method.sees:
        figures = ", ".join(f"{name} {value:.2g}" for name, value in dependence.items())
        raise SupervisionError(
            f"answers of {type(method).__name__} change with the test batch ({figures} of the spread of its scores, "
            f"where {TOLERANCE:g} is rounding); it must declare TEST_INPUTS"
        )
    return {
        "sees": sorted({*method.sees, *shown}),
        "declared": True,
        "transductive": Sees.TEST_INPUTS in method.sees,
        "dependence": dict(dependence),
        **notes,
    }


def grid(candidates: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the candidates in order, or one empty setting without candidates."""
    return [dict(zip(candidates, values, strict=True)) for values in itertools.product(*candidates.values())]


def trials(candidates: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the settings of each trial: the candidates at its position."""
    return [dict(zip(candidates, values, strict=True)) for values in zip(*candidates.values(), strict=True)]


def divided(cell: Cell, settings: Mapping[str, Any]) -> tuple[Cell, dict[str, Any]]:
    """Return the cell with the tuned settings of its module, and the remaining settings, those of the method.

    A name that both have belongs to the method.
    """
    known = inspect.signature(method_class(cell.method)).parameters
    outside = [name for name in cell.candidates if name not in known and name in settings]
    module = {**plain(cell.module), **{name: settings[name] for name in outside}}
    return replace(cell, module=module), {name: v for name, v in settings.items() if name not in outside}


def tune(cell: Cell, evaluate: Callable[[dict[str, Any]], float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Choose among the cell's candidates by their validation score; ties go to the first.

    Returns:
        The method's settings including the choice, and a note for the receipt.
    """
    settings = plain(cell.settings)
    if not cell.candidates:
        return settings, {}
    tried = sampled(cell, settings, evaluate) if cell.search.get("sampler") else _listed(cell, settings, evaluate)
    choices, scores = [choice for choice, _ in tried], [score for _, score in tried]
    best = int(np.argmax(scores))
    note = {"tuned": choices[best], "trials": len(choices), "validation_scores": [round(score, 6) for score in scores]}
    return {**settings, **choices[best]}, note


def _listed(
    cell: Cell, settings: Mapping[str, Any], evaluate: Callable[[dict[str, Any]], float]
) -> list[tuple[dict[str, Any], float]]:
    candidates = plain(cell.candidates)
    # trials are rows of the candidates' columns; otherwise every combination is tried
    choices = trials(candidates) if cell.search.get("trials") else grid(candidates)
    return [(choice, evaluate({**settings, **choice})) for choice in choices]


def plain(value: Any) -> Any:
    """Return plain, mutable data, because those of a cell are frozen."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def as_array(logits: Tensor) -> NDArray[Any]:
    """Return logits as a NumPy array."""
    array: NDArray[Any] = logits.detach().cpu().numpy()
    return array
