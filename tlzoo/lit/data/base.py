"""The base of data modules: task, training data, and this process's share of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import nn

from tlzoo.data import load_task
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.samplers import BalancedSampler, BatchSampler
from tlzoo.data.tasks import Task
from tlzoo.errors import InputError, InputTypeError
from tlzoo.functional.checks import check_counts
from tlzoo.lit.data.loaders import Passes, StepLoader
from tlzoo.lit.frozen_features import with_features
from tlzoo.lit.module import TransferModule
from tlzoo.types import Examples, Sees, SupervisionError

__all__ = ["TaskData"]

Batch = TypeVar("Batch")
T = TypeVar("T", bound=Task)
Loader = TypeVar("Loader", bound=StepLoader[Any] | Passes[Any])


class TaskData(pl.LightningDataModule, Generic[T]):
    """Base of data modules.

    Args:
        task: a name for :func:`tlzoo.load_task`, or a task.
        features: a backbone (or its name) that runs once, frozen; batches then hold its features from the cache. None
            for raw inputs.
        batch_size: examples per step over all processes (per side, if there are source and target).
        seed: batches depend only on the seed and the step.
        steps_per_epoch: number of steps that Lightning calls an epoch; None for one pass over the training set.
        root: folder of your own data set.
    """

    takes: ClassVar[type[Task]]
    _task: T
    _raw: T
    _closed_for: str = ""

    def __init__(
        self,
        task: str | T,
        *,
        features: str | nn.Module | None = None,
        batch_size: int = 36,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__()
        check_counts(batch_size=batch_size, **({} if steps_per_epoch is None else {"steps_per_epoch": steps_per_epoch}))
        check_counts(low=0, seed=seed)
        loaded = load_task(task, root=root) if isinstance(task, str) else task
        self._check_kind(loaded)
        raw: Any = loaded
        self.raw, self.features = raw, features
        self.task = raw if features is None else with_features(raw, features)
        self.batch_size, self.seed, self.steps_per_epoch = batch_size, seed, steps_per_epoch
        self._loader: StepLoader[Any] | Passes[Any] | None = None
        self._resumed: dict[str, int] | None = None

    @property
    def task(self) -> T:
        """The task, with features in place of its inputs where a backbone extracts them.

        Raises:
            SupervisionError: the harness is training: methods get training data from batches, nothing else.
        """
        return self._opened(self._task)

    @task.setter
    def task(self, task: T) -> None:
        self._task = task

    @property
    def raw(self) -> T:
        """The task as it was loaded; the error is the same."""
        return self._opened(self._raw)

    @raw.setter
    def raw(self, task: T) -> None:
        self._raw = task

    def close(self, *, by: str) -> None:
        """Keep the task from ``by``, a method that trains and could find test data through the trainer."""
        self._closed_for = by

    def open(self) -> None:
        """Let everybody have the task again."""
        self._closed_for = ""

    def _opened(self, task: T) -> T:
        if self._closed_for:
            raise SupervisionError(
                f"{self._closed_for} reaches for the task, which holds the test, while it trains; a method gets what "
                "it declares from its batches"
            )
        return task

    def _check_kind(self, task: object) -> None:
        if not isinstance(task, self.takes):
            given = f"{task.name} is {_a(task.kind)} task" if isinstance(task, Task) else f"got a {type(task).__name__}"
            raise InputTypeError(f"{given}; {type(self).__name__} takes {_a(self.takes.kind)} task")

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training set; Lightning stores that of a loader but does not always restore it."""
        return {} if self._loader is None else self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training loader go on from a stored position."""
        self._resumed = state_dict

    def _training(self, loader: Loader) -> Loader:
        """Return the training loader; a resumed run continues where it stopped."""
        if self._resumed is not None:
            loader.load_state_dict(self._resumed)
        self._loader, self._resumed = loader, None
        return loader

    @property
    def num_classes(self) -> int:
        """The number of classes of the task.

        Raises:
            ValueError: it is a regression.
        """
        if getattr(self.task, "regression", False):
            raise InputError(
                f"{self.task.name} is a regression and has no classes; take DomainAdaptation or DomainConfusion, with "
                "a method for regression"
            )
        return self.task.num_classes

    @property
    def num_features(self) -> int:
        """The width of the features in batches.

        Raises:
            ValueError: batches hold raw inputs.
        """
        inputs = next(examples for examples in self.task.sets().values() if len(examples)).inputs[np.arange(1)]
        if getattr(inputs, "ndim", 0) != 2:
            raise InputError(f"{self.task.name}: batches hold raw inputs; set features=BACKBONE to get features")
        return int(inputs.shape[1])

    def _module(self) -> TransferModule:
        """Return the module that the trainer trains."""
        if self.trainer is None:
            raise RuntimeError(
                "the data module gets its part of the task from the trainer's module; use it with a Trainer"
            )
        module: Any = self.trainer.lightning_module
        if not isinstance(module, TransferModule):
            raise InputTypeError(
                f"{type(module).__name__} declares no supervision; {type(self).__name__} needs a module of tlzoo"
            )
        return module

    def _method(self) -> tuple[frozenset[Sees], str]:
        """Return what the module's method declares to see, and its name."""
        module = self._module()
        return module.method.sees, module.method_name

    def _share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's part of indices, contiguous."""
        if self.trainer is None or self.trainer.world_size == 1:
            return indices
        return np.array_split(indices, self.trainer.world_size)[self.trainer.global_rank]

    def _training_share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's part of a training batch.

        Raises:
            ValueError: a process would get no example.
        """
        share = self._share(indices)
        if not len(share):
            world = self.trainer.world_size if self.trainer is not None else 1
            raise InputError(f"a batch of {len(indices)} for {world} processes; raise batch_size")
        return share

    def _stream(self, batch_at: Callable[[int], Batch], *samplers: BatchSampler | BalancedSampler) -> StepLoader[Batch]:
        steps = self.steps_per_epoch or min(sampler.steps_per_pass for sampler in samplers)
        return self._training(StepLoader(batch_at, steps))

    def passes(self, examples: ExampleSet, *, batch_size: int | None = None, whole: bool = False) -> Passes[Examples]:
        """Return one ordered pass over a set.

        Args:
            examples: the set.
            batch_size: examples per batch; None for 256.
            whole: whether this process sees all of the set, as a process that reports metrics must, or only its part.
        """
        if whole:
            return Passes(examples.batch, len(examples), batch_size or 256)
        return self._pass_over(len(examples), examples.batch, batch_size=batch_size)

    def _pass_over(
        self, size: int, batch_of: Callable[[NDArray[np.int64]], Batch], *, batch_size: int | None = None
    ) -> Passes[Batch]:
        """Return a pass over this process's part of ``size`` positions, or over all if a batch would be empty."""
        share = self._share(np.arange(size))
        first = int(share[0]) if len(share) else 0
        return Passes(batch_of, len(share), batch_size or 256, first=first)


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
