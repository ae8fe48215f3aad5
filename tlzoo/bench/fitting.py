"""Training a module with Lightning, and measuring it at five checkpoints on the way."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.execution.one_cell import undisturbed
from tlzoo.bench.loggers import close_loggers, log_measured, make_loggers
from tlzoo.bench.protocols.settings import CHECKPOINTS, EPOCHS
from tlzoo.bench.tuning import plain
from tlzoo.lit.data.base import TaskData

__all__ = ["fit", "steps_per_epoch"]

Measure = Callable[[int], Mapping[str, float]]


def steps_per_epoch(steps: int) -> int:
    """Return the number of steps that Lightning calls an epoch."""
    return max(steps // EPOCHS, 1)


def fit(
    module: pl.LightningModule,
    data: TaskData[Any],
    cell: Cell,
    *,
    steps: int,
    on_progress: OnProgress,
    measure: Measure | None = None,
) -> None:
    """Train for a number of steps, and leave the module in evaluation mode.

    It computes where the cell's ``trainer`` says, and on this process's CPU thread where it says nothing. The other
    processes of a cell on several devices are there already (:mod:`tlzoo.bench.execution.multi_device`).

    Args:
        module: what is trained.
        data: its batches.
        cell: its ``trainer`` settings and name are used, the name by loggers.
        steps: of the optimizer; -1 for a module that ends its training itself.
        on_progress: called with the finished share of the training.
        measure: called with the number of steps at every checkpoint, in evaluation mode and without gradients; what it
            returns is logged.
    """
    with _quiet():
        with undisturbed():
            loggers = make_loggers(cell)
        trainer = pl.Trainer(
            **{"accelerator": "cpu", "devices": 1, **plain(cell.trainer)},
            max_steps=steps,
            logger=loggers or False,
            plugins=[LightningEnvironment()],  # whatever launched us (SLURM, torchrun) launched no ranks of this cell
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            log_every_n_steps=steps_per_epoch(steps),
            callbacks=[_Progress(steps, on_progress, measure, data)],
        )
        try:
            trainer.fit(module, datamodule=data)
        finally:
            data.open()
        with undisturbed():
            close_loggers(loggers)
    module.eval()


class _Progress(pl.Callback):
    """Reports the share of training, and measures at every checkpoint; between them the task is closed."""

    def __init__(self, steps: int, on_progress: OnProgress, measure: Measure | None, data: TaskData[Any]) -> None:
        self.steps, self.on_progress, self.measure, self.data = steps, on_progress, measure, data
        self.measured = -1

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.data.close(by=_name(module))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % max(self.steps // 50, 1) == 0:
            self.on_progress(trainer.global_step / self.steps)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.steps < EPOCHS or (trainer.current_epoch + 1) % (EPOCHS // CHECKPOINTS) == 0:
            self._measure(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._measure(trainer, module)  # a training can end itself, or between two checkpoints

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.measure is None or trainer.global_step == self.measured:
            return
        self.measured = trainer.global_step
        self.data.open()
        module.eval()
        with torch.no_grad():
            log_measured(trainer.loggers, self.measure(trainer.global_step), trainer.global_step)
        module.train()
        self.data.close(by=_name(module))


def _name(module: pl.LightningModule) -> str:
    return str(getattr(module, "method_name", type(module).__name__))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints about loggers, workers and hardware off the progress bar; they are settled here."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)
