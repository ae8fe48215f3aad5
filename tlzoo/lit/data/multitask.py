"""Inputs with several targets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.samplers import BatchSampler
from tlzoo.data.tasks import MultitaskTask, MultitaskTrainingData
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import Passes, StepLoader
from tlzoo.types import TaskBatch

__all__ = ["MultitaskData"]


class MultitaskData(TaskData[MultitaskTask]):
    """Batches of a :class:`~tlzoo.data.tasks.MultitaskTask`; see :class:`TaskData` for the arguments."""

    takes = MultitaskTask
    training_data: MultitaskTrainingData

    def setup(self, stage: str) -> None:
        """Take the parts of the task that the module's method declares."""
        sees, by = self._method()
        self.training_data = self.task.training_data(sees, by=by)

    def train_dataloader(self) -> StepLoader[TaskBatch]:
        """Return the stream of training batches."""
        examples = self.training_data.train
        sampler = BatchSampler(len(examples), self.batch_size, seed=self.seed)
        return self._stream(lambda step: _task_batch(examples, self._training_share(sampler(step))), sampler)

    def val_dataloader(self) -> Passes[TaskBatch]:
        """Return validation data, which choose settings and are never trained on."""
        return self._evaluation(self.task.validation)

    def test_dataloader(self) -> Passes[TaskBatch]:
        """Return test data."""
        return self._evaluation(self.task.test)

    def predict_dataloader(self) -> Passes[TaskBatch]:
        """Return test data."""
        return self._evaluation(self.task.test)

    def _evaluation(self, examples: ExampleSet) -> Passes[TaskBatch]:
        size = self.batch_size if self.task.dense else None  # answers at every position of 256 pictures fill gigabytes
        return self._pass_over(len(examples), lambda indices: _task_batch(examples, indices), batch_size=size)


def _task_batch(examples: ExampleSet, indices: NDArray[np.int64]) -> TaskBatch:
    targets = {name: torch.from_numpy(column[indices]) for name, column in examples.targets.items()}
    return TaskBatch(inputs=examples.batch(indices).inputs, targets=targets)
