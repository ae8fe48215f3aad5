"""Data of seen classes to fit on and unseen classes to predict."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.samplers import BatchSampler
from tlzoo.data.tasks import ZeroShotTask, ZeroShotTrainingData
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import NoLoaders, Passes, StepLoader
from tlzoo.lit.frozen_features import encode_prompts, mean_direction
from tlzoo.lit.random_templates import random_templates
from tlzoo.types import Backbone, Examples, Sees

__all__ = ["ZeroShotData"]


class ZeroShotData(TaskData[ZeroShotTask]):
    """Seen classes to fit on and unseen classes to predict, from a :class:`~tlzoo.data.tasks.ZeroShotTask`.

    Args:
        task: see :class:`TaskData`.
        features: see :class:`TaskData`.
        descriptions: the text encoder (or its name) for the class descriptions.
        templates: prompts, each with one ``{}`` for a text of the class; the embedding of a class is the mean direction
            over all prompts.
        wordings: which texts to insert, see :meth:`~tlzoo.data.tasks.ZeroShotTask.texts`.
        random_descriptions: pairs of random words and characters that follow the class in each template, see
            :func:`~tlzoo.lit.random_templates.random_templates`; 0 for none.
        batch_size: examples per step.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`.
        root: see :class:`TaskData`.
    """

    takes = ZeroShotTask
    training_data: ZeroShotTrainingData

    def __init__(
        self,
        task: str | ZeroShotTask,
        *,
        features: str | nn.Module | None = None,
        descriptions: str | Backbone = "sentence:minilm",
        templates: Sequence[str] = ("{}",),
        wordings: Sequence[str] = ("description",),
        random_descriptions: int = 0,
        batch_size: int = 256,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__(
            task, features=features, batch_size=batch_size, seed=seed, steps_per_epoch=steps_per_epoch, root=root
        )
        self.wordings = tuple(wordings)
        self.prompts: dict[str, NDArray[np.float32]] = {}
        check_counts(low=0, random_descriptions=random_descriptions)
        if random_descriptions and self.task.embeddings is not None:
            raise InputError(f"{self.task.name} has embeddings of its own, so random_descriptions have no effect")
        if random_descriptions:
            names = self.task.class_names
            templates = random_templates(names, random_descriptions, seed=seed, templates=templates)
        if self.task.embeddings is None:
            self.prompts = encode_prompts(self.task, descriptions, templates=templates, wordings=wordings)
            self.task = replace(self.task, embeddings=mean_direction(list(self.prompts.values())))

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings (classes, A) of all descriptions."""
        assert self.task.embeddings is not None
        return self.task.embeddings

    @property
    def num_candidates(self) -> int:
        """The number of candidates of the test."""
        return len(self._candidates("test"))

    @property
    def class_embeddings(self) -> Tensor:
        """The embeddings (seen, A) that the method may fit on."""
        return torch.from_numpy(self.training_data.class_embeddings)

    def _candidates(self, split: str) -> NDArray[np.int64]:
        if split == "validation":
            return self.task.held_out
        return self.task.candidates

    def candidates(self, split: str) -> tuple[Tensor, Tensor]:
        """Return the embeddings (C, A) of a split's candidate classes, and which of them are seen (C,)."""
        classes = self._candidates(split)
        return torch.from_numpy(self.embeddings[classes]), torch.from_numpy(np.isin(classes, self.task.seen))

    def candidate_texts(self, split: str) -> list[str]:
        """Return a text for each candidate of a split, for methods that read: the first wording without a prompt."""
        texts = self.task.texts(self.wordings[0])
        return [texts[place] for place in self._candidates(split)]

    def candidate_names(self, split: str) -> list[str]:
        """Return the names of a split's candidates."""
        return [self.task.class_names[place] for place in self._candidates(split)]

    def recounted(self, labels: NDArray[np.int64], split: str) -> NDArray[np.int64]:
        """Return class indices (N,) renumbered among a split's candidates."""
        return self.task.places(labels, self._candidates(split))

    def setup(self, stage: str) -> None:
        """Take the parts of the task that the module's method declares."""
        if stage == "fit":
            sees, by = self._method()
            self.training_data = self.task.training_data(sees, by=by)

    def train_dataloader(self) -> StepLoader[Examples] | Passes[Examples]:
        """Return examples of seen classes: a stream for a trained method, one ordered pass for a closed form."""
        module: Any = self.trainer.lightning_module if self.trainer is not None else None
        if not module.trained:
            return self._training(self.passes(self.training_data.train))
        sampler = BatchSampler(len(self.training_data.train), self.batch_size, seed=self.seed)
        return self._stream(lambda step: self.training_data.train.batch(self._training_share(sampler(step))), sampler)

    def val_dataloader(self) -> list[Passes[Examples]] | NoLoaders:
        """Return examples of the held-out classes, which play unseen, if there are any."""
        return NoLoaders() if self.task.validation is None else [self.answers("validation", self._method()[0])]

    def test_dataloader(self) -> list[Passes[Examples]]:
        """Return test examples of unseen classes and, in the generalized protocol, of seen classes."""
        return [self.answers("test", self._method()[0])]

    def predict_dataloader(self) -> list[Passes[Examples]]:
        """Return the inputs of the test."""
        return self.test_dataloader()

    def asked(self, split: str) -> ExampleSet:
        """Return the examples of a split, with labels among its candidates; unseen classes come first."""
        examples = self.task.validation if split == "validation" else self.task.test
        if examples is None:
            raise InputError(f"{self.task.name} has no held-out classes")
        if split == "test" and self.task.test_seen is not None:
            examples = examples.joined(self.task.test_seen)
        assert examples.labels is not None
        return replace(examples, labels=self.recounted(examples.labels, split))

    def answers(self, split: str, sees: Collection[Sees], *, whole: bool = False) -> Passes[Examples]:
        """Return a pass over the examples of a split; all at once for a method that sees the test inputs.

        Examples of seen and unseen classes are mixed, so the other queries do not reveal the kind of a query.
        """
        examples = self.asked(split)
        at_once = len(examples) if Sees.TEST_INPUTS in sees else None
        return self.passes(examples, batch_size=at_once, whole=whole)
