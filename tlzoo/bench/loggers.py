"""Loggers by name: send the measurements of a run to TensorBoard, Weights & Biases or MLflow.

They are not part of a cell, which gives the same bytes with and without them. So workers get them through the
environment, not in the cell.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlzoo.bench.cell import Cell
from tlzoo.errors import InputError, MissingPackageError
from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

__all__ = ["LOGGERS", "check_loggers", "choose_loggers", "close_loggers", "log_measured", "make_loggers"]

LOGGERS = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Name, also of the extra -> the package that it needs."""

NAMES, FOLDER = "TLZOO_LOGGERS", "TLZOO_LOG_FOLDER"


def choose_loggers(names: Sequence[str], folder: Path) -> None:
    """Let every run of this process and its workers log to ``names``, below ``folder``; see :func:`check_loggers`."""
    check_loggers(names)
    os.environ[NAMES] = ",".join(dict.fromkeys(names))
    os.environ[FOLDER] = str(folder.resolve())  # workers may start elsewhere


def check_loggers(names: Sequence[str]) -> None:
    """Refuse loggers that are not available.

    Raises:
        ValueError: there is no such logger.
        ImportError: its package is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise InputError(nearest(name, LOGGERS, kind="logger"))
        if importlib.util.find_spec(LOGGERS[name]) is None:
            raise MissingPackageError(f"the logger {name} needs another package: pip install tlzoo[{name}]")


def make_loggers(cell: Cell) -> list[Logger]:
    """Return the loggers of one training run, with the cell's specification logged; none in a companion process."""
    names = [name for name in os.environ.get(NAMES, "").split(",") if name]
    if not names or os.environ.get("LOCAL_RANK", "0") != "0":
        return []
    made = [_MAKERS[name](cell, Path(os.environ[FOLDER])) for name in names]
    for logger in made:
        logger.log_hyperparams({**cell.to_json(), "hash": cell.hash})
    return made


def log_measured(loggers: Sequence[Logger], measured: Mapping[str, float], step: int) -> None:
    """Log the measurements at a checkpoint."""
    for logger in loggers:
        logger.log_metrics({name: value for name, value in measured.items() if name != "step"}, step)


def close_loggers(loggers: Sequence[Logger]) -> None:
    """Flush the loggers; a run at Weights & Biases must be finished even after Lightning is done."""
    for logger in loggers:
        logger.finalize("success")
        experiment: Any = getattr(logger, "experiment", None)
        if hasattr(experiment, "finish"):
            experiment.finish()


def _tensorboard(cell: Cell, folder: Path) -> Logger:
    from pytorch_lightning.loggers import TensorBoardLogger

    root = folder / "tensorboard"
    taken = [cell.hash, *(f"{cell.hash}-{number}" for number in range(2, 10_000))]
    version = next(name for name in taken if not (root / _run_name(cell) / name).exists())
    return TensorBoardLogger(root, name=_run_name(cell), version=version, default_hp_metric=False)


def _wandb(cell: Cell, folder: Path) -> Logger:
    from pytorch_lightning.loggers import WandbLogger

    folder.mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        project=f"tlzoo-{cell.task}", name=str(cell), group=cell.label, save_dir=folder, tags=[cell.hash]
    )


def _mlflow(cell: Cell, folder: Path) -> Logger:
    from pytorch_lightning.loggers import MLFlowLogger

    folder.mkdir(parents=True, exist_ok=True)
    address = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    return MLFlowLogger(f"tlzoo {cell.task}", run_name=str(cell), tracking_uri=address, tags={"hash": cell.hash})


_MAKERS: dict[str, Any] = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def _run_name(cell: Cell) -> str:
    """Return a folder name for the row."""
    plain = "".join(c if c.isalnum() or c in "-_.+" else "_" for c in f"{cell.task}-{cell.label}")
    return f"{plain}-seed{cell.seed}"
