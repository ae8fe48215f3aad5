"""Seen classes to fit on, unseen ones to answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.data.samplers import BatchSampler
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks import ZeroShotTask, ZeroShotView
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import Passes, StepLoader
from tlzoo.lit.features import encode_descriptions
from tlzoo.types import Backbone, Examples

__all__ = ["ZeroShotData"]


class ZeroShotData(TaskData[ZeroShotTask]):
    """Seen classes to fit on, unseen ones to answer, of a :class:`~tlzoo.data.tasks.ZeroShotTask`.

    Args:
        task: see :class:`TaskData`.
        features: see :class:`TaskData`.
        descriptions: the text encoder (or its name) of the class descriptions.
        batch_size: examples a step.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`.
        root: see :class:`TaskData`.
    """

    takes = ZeroShotTask
    view: ZeroShotView

    def __init__(
        self,
        task: str | ZeroShotTask,
        *,
        features: str | Backbone | None = None,
        descriptions: str | Backbone = "sentence:minilm",
        batch_size: int = 256,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__(
            task, features=features, batch_size=batch_size, seed=seed, steps_per_epoch=steps_per_epoch, root=root
        )
        if self.task.embeddings is None:
            self.task = encode_descriptions(self.task, descriptions)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """Embeddings (classes, A) of all descriptions."""
        assert self.task.embeddings is not None
        return self.task.embeddings

    @property
    def num_candidates(self) -> int:
        """Count the candidates of the test."""
        return len(self._candidates("test"))

    @property
    def class_embeddings(self) -> Tensor:
        """Embeddings (seen, A) that the method may fit on."""
        return torch.from_numpy(self.view.class_embeddings)

    def _candidates(self, split: str) -> NDArray[np.int64]:
        if split == "validation":
            return self.task.held_out
        return self.task.unseen if self.task.test_seen is None else np.arange(self.task.num_classes)

    def candidates(self, split: str) -> tuple[Tensor, Tensor]:
        """Return the embeddings (C, A) of a split's candidate classes, and which of them are seen (C,)."""
        classes = self._candidates(split)
        return torch.from_numpy(self.embeddings[classes]), torch.from_numpy(np.isin(classes, self.task.seen))

    def recounted(self, labels: NDArray[np.int64], split: str) -> NDArray[np.int64]:
        """Return class indices (N,) as places among a split's candidates."""
        return np.searchsorted(self._candidates(split), labels).astype(np.int64)

    def setup(self, stage: str) -> None:
        """Take the view of the task that the module's method declares."""
        if stage == "fit":
            sees, by = self._method()
            self.view = self.task.view(sees, by=by)

    def train_dataloader(self) -> StepLoader[Examples] | Passes[Examples]:
        """Return examples of seen classes: a stream for a trained method, one pass in order for a closed form."""
        module: Any = self.trainer.lightning_module if self.trainer is not None else None
        if not module.trained:
            return self.passes(self.view.train)
        sampler = BatchSampler(len(self.view.train), self.batch_size, seed=self.seed)
        return self._stream(lambda step: self.view.train.batch(self._training_share(sampler(step))), sampler)

    def val_dataloader(self) -> list[Passes[Examples]]:
        """Return examples of the held-out classes, which play unseen; nothing where there are none."""
        return [] if self.task.validation is None else [self._answers(self.task.validation, "validation")]

    def test_dataloader(self) -> list[Passes[Examples]]:
        """Return test examples of unseen classes, and in the generalized protocol those of seen ones."""
        seen = [] if self.task.test_seen is None else [self._answers(self.task.test_seen, "test")]
        return [self._answers(self.task.test, "test"), *seen]

    def predict_dataloader(self) -> list[Passes[Examples]]:
        """Return the inputs of the test."""
        return self.test_dataloader()

    def _answers(self, examples: ExampleSet, split: str) -> Passes[Examples]:
        """Return a pass in which labels count within the split's candidates."""
        assert examples.labels is not None
        labels = self.recounted(examples.labels, split)
        return self.passes(replace(examples, labels=labels))
