"""Episodes: base classes to train on, novel ones to test on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks import EpisodeTask
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import Passes, StepLoader
from tlzoo.types import Backbone, Episode, Examples, Sees

__all__ = ["EpisodeData"]


class EpisodeData(TaskData[EpisodeTask]):
    """Episodes of an :class:`~tlzoo.data.tasks.EpisodeTask`: base classes to train on, novel ones to test on.

    Args:
        task: see :class:`TaskData`.
        features: see :class:`TaskData`.
        way: classes an episode; None for the task's own, as for shot and query.
        shot: support examples a class.
        query: queries a class.
        episodes: episodes of a test; the same for every method and seed of training.
        batch_size: episodes a step.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`; None for 100.
        root: see :class:`TaskData`.
    """

    takes = EpisodeTask

    def __init__(
        self,
        task: str | EpisodeTask,
        *,
        features: str | Backbone | None = None,
        way: int | None = None,
        shot: int | None = None,
        query: int | None = None,
        episodes: int = 2000,
        batch_size: int = 4,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__(
            task,
            features=features,
            batch_size=batch_size,
            seed=seed,
            steps_per_epoch=steps_per_epoch or 100,
            root=root,
        )
        self.way, self.shot, self.query = way or self.task.way, shot or self.task.shot, query or self.task.query
        self.episodes = episodes

    def sampler(self, examples: ExampleSet, *, seed: int) -> EpisodeSampler:
        """Return the sampler of episodes of a labelled set."""
        assert examples.labels is not None
        domains = examples.domains if self.task.cross_domain else None
        return EpisodeSampler(
            examples.labels, way=self.way, shot=self.shot, query=self.query, seed=seed, domains=domains
        )

    def base_examples(self, sees: frozenset[Sees], *, by: str) -> Examples:
        """Return the whole base set as the method may see it."""
        base = self.task.view(sees, by=by).base
        return base.batch(np.arange(len(base)))

    def train_dataloader(self) -> StepLoader[Episode]:
        """Return the stream of training episodes, of base classes.

        Raises:
            SupervisionError: the method does not declare the labelled base set.
        """
        sees, by = self._method()
        view = self.task.view(sees | {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS}, by=by)
        sampler = self.sampler(view.base, seed=self.seed)

        def batch_at(step: int) -> Episode:
            numbers = self._training_share(np.arange(step * self.batch_size, (step + 1) * self.batch_size))
            return _episodes(view.base, sampler, int(numbers[0]), len(numbers))

        assert self.steps_per_epoch is not None
        return StepLoader(batch_at, self.steps_per_epoch)

    def val_dataloader(self) -> Passes[Episode]:
        """Return episodes of the validation classes."""
        return self._evaluation(self.task.validation)

    def test_dataloader(self) -> Passes[Episode]:
        """Return episodes of the novel classes, drawn with seed 0 whatever the training's."""
        return self._evaluation(self.task.novel)

    def predict_dataloader(self) -> Passes[Episode]:
        """Return the episodes of the test."""
        return self._evaluation(self.task.novel)

    def _evaluation(self, examples: ExampleSet) -> Passes[Episode]:
        sampler = self.sampler(examples, seed=0)
        batch_of = lambda numbers: _episodes(examples, sampler, int(numbers[0]), len(numbers))  # noqa: E731
        return Passes(batch_of, self.episodes, 100)


def _episodes(examples: ExampleSet, sampler: EpisodeSampler, first: int, count: int) -> Episode:
    support, support_labels, query, query_labels = sampler.stack(first, count)

    def gathered(indices: NDArray[np.int64]) -> Tensor:
        inputs: Tensor = examples.batch(indices.ravel()).inputs
        return inputs.reshape(*indices.shape, *inputs.shape[1:])

    return Episode(
        support=gathered(support),
        support_labels=torch.from_numpy(support_labels),
        query=gathered(query),
        query_labels=torch.from_numpy(query_labels),
        way=sampler.way,
    )
