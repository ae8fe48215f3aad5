"""Episodes: base classes for training, novel classes for the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.data.episodes import EpisodeIndices, EpisodeList, EpisodeSampler
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.quarter_turns import TURNS, with_quarter_turns
from tlzoo.data.samplers import BatchSampler
from tlzoo.data.tasks import EpisodeTask
from tlzoo.data.varying_episodes import VariedSampler
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts, check_flags, check_positive
from tlzoo.lit.data.augmentation import Augmentation
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import Passes, StepLoader
from tlzoo.randomness import Stream
from tlzoo.types import Episode, Examples, Sees

__all__ = ["EpisodeData"]


class EpisodeData(TaskData[EpisodeTask]):
    """Episodes of an :class:`~tlzoo.data.tasks.EpisodeTask`: base classes for training, novel classes for the test.

    A module that trains on examples (:class:`~tlzoo.lit.ClassicalOneShot`) gets labelled batches of the base classes.

    Args:
        task: see :class:`TaskData`.
        features: see :class:`TaskData`.
        way: number of classes per episode; None for the task's own, as for shot and query.
        shot: number of support examples per class.
        query: number of queries per class.
        dirichlet: concentration of the class proportions of the queries in evaluation; None for balanced queries.
        train_way: number of classes per training episode; from several values, each step draws one; None for ``way``.
        train_shot: number of support examples per class in training, likewise.
        train_query: number of queries per class in training; None for ``query``.
        quarter_turns: in training, pictures of a class turned by 90, 180 and 270 degrees are classes of their own, so
            there are four times as many, see :func:`~tlzoo.data.quarter_turns.with_quarter_turns`.
        augment: a transform of training pictures, of ``torchvision.transforms.v2`` or timm, see
            :class:`~tlzoo.lit.data.augmentation.Augmentation`. Support and queries are changed, each on its own.
        episodes: number of validation or test episodes, the same for every method and training seed. If a task lists
            its episodes, the test uses those, with the first ``shot`` support examples of each class.
        batch_size: number of episodes per step, or of examples.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`; None for 100.
        root: see :class:`TaskData`.

    Raises:
        ValueError: a task lists its episodes, and way or query differ from theirs, or shot is more than they have; or
            training pictures shall be changed, while ``features`` are read.
    """

    takes = EpisodeTask

    def __init__(
        self,
        task: str | EpisodeTask,
        *,
        features: str | nn.Module | None = None,
        way: int | None = None,
        shot: int | None = None,
        query: int | None = None,
        dirichlet: float | None = None,
        train_way: int | Sequence[int] | None = None,
        train_shot: int | Sequence[int] | None = None,
        train_query: int | None = None,
        quarter_turns: bool = False,
        augment: Callable[[Any], Any] | None = None,
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
            steps_per_epoch=100 if steps_per_epoch is None else steps_per_epoch,
            root=root,
        )
        own = {"way": self.task.way, "shot": self.task.shot, "query": self.task.query}
        shape = own | {name: n for name, n in (("way", way), ("shot", shot), ("query", query)) if n is not None}
        check_counts(episodes=episodes, **shape)
        if dirichlet is not None:
            check_positive(dirichlet=dirichlet)
        self.way, self.shot, self.query = shape["way"], shape["shot"], shape["query"]
        self.dirichlet = dirichlet
        self.train_way = self.way if train_way is None else train_way
        self.train_shot = self.shot if train_shot is None else train_shot
        self.train_query = self.query if train_query is None else train_query
        for name, given in (("train_way", self.train_way), ("train_shot", self.train_shot)):
            for number in (given,) if isinstance(given, int) else given:
                check_counts(**{name: number})
        check_counts(train_query=self.train_query)
        self._check_listed()
        self.episodes = episodes
        check_flags(quarter_turns=quarter_turns)
        if features is not None and (quarter_turns or augment is not None):
            raise InputError(
                "augment and quarter_turns change training pictures, and the frozen backbone of features reads each "
                "once; drop features and give the module the backbone"
            )
        self.quarter_turns = quarter_turns
        self.augment = None if augment is None else Augmentation(augment, seed=seed)

    def _check_listed(self) -> None:
        listed = self.task.listed
        given = (self.way, self.shot, self.query, self.dirichlet)
        if listed is not None and (self.shot > listed.shot or given != (listed.way, self.shot, listed.query, None)):
            own = listed.way, listed.shot, listed.query
            raise InputError(
                f"{self.task.name} lists its test episodes: way {own[0]}, shot {own[1]} or fewer, query {own[2]}, "
                f"balanced; got way {given[0]}, shot {given[1]}, query {given[2]}, dirichlet {given[3]}; leave them out"
            )

    @property
    def num_base_classes(self) -> int:
        """The number of base classes, with quarter turns as classes of their own."""
        return len(np.unique(_labels(self.task.base))) * (TURNS if self.quarter_turns else 1)

    def sampler(self, split: Literal["base", "validation", "novel"], *, seed: int = 0) -> EpisodeSampler:
        """Return the sampler of evaluation episodes for a split."""
        return self.task.episodes(
            split,
            seed=seed,
            stream=Stream.EVALUATION_EPISODES,
            dirichlet=self.dirichlet,
            way=self.way,
            shot=self.shot,
            query=self.query,
        )

    def episode_list(self, split: Literal["base", "validation", "novel"] = "novel") -> EpisodeList:
        """Return the evaluation episodes: those that the task lists, or ones drawn with seed 0."""
        if split == "novel" and self.task.listed is not None:
            return self.task.listed.with_shot(self.shot)
        return self.sampler(split).freeze(self.episodes)

    def base_examples(self, sees: frozenset[Sees], *, by: str) -> Examples:
        """Return the whole base set as the method may see it."""
        base = self._task.training_data(sees, by=by).base
        return base.whole()

    def train_dataloader(self) -> StepLoader[Episode] | StepLoader[Examples]:
        """Return the stream of training episodes, or of labelled batches, from base classes."""
        sees, by = self._method()
        base = self._task.training_data(sees | {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS}, by=by).base
        base = with_quarter_turns(base) if self.quarter_turns else base
        assert self.steps_per_epoch is not None
        assert self.trainer is not None
        if getattr(self.trainer.lightning_module, "trains_on", "episodes") == "examples":
            return self._training(StepLoader(self._examples_at(base), self.steps_per_epoch))
        return self._training(StepLoader(self._episodes_at(base), self.steps_per_epoch))

    def _episodes_at(self, base: ExampleSet) -> Callable[[int], Episode]:
        def drawn_from(way: int, shot: int) -> EpisodeSampler:
            return self._task.episodes(
                "base", seed=self.seed, quarter_turns=self.quarter_turns, way=way, shot=shot, query=self.train_query
            )

        varied = VariedSampler(drawn_from, ways=self.train_way, shots=self.train_shot, seed=self.seed)

        def batch_at(step: int) -> Episode:
            numbers = self._training_share(np.arange(step * self.batch_size, (step + 1) * self.batch_size))
            sampler = varied.at(step)
            drawn = _episodes(base, sampler.stack(int(numbers[0]), len(numbers)), way=sampler.way)
            if self.augment is None:
                return drawn
            return replace(
                drawn,
                support=self._augmented(drawn.support, "support", step),
                query=self._augmented(drawn.query, "query", step),
            )

        return batch_at

    def _augmented(self, inputs: Tensor, side: str, step: int) -> Tensor:
        """Change the pictures (E, N, H, W, C) of a step's episodes."""
        assert self.augment is not None
        changed = self.augment.pictures(inputs.flatten(0, 1), side, step)
        return changed.reshape(*inputs.shape[:2], *changed.shape[1:])

    def _examples_at(self, base: ExampleSet) -> Callable[[int], Examples]:
        _, numbers = np.unique(_labels(base), return_inverse=True)
        sampler = BatchSampler(len(base), self.batch_size, seed=self.seed)

        def batch_at(step: int) -> Examples:
            places = self._training_share(sampler(step))
            batch = replace(base.batch(places), labels=torch.from_numpy(numbers[places]))
            return batch if self.augment is None else self.augment(batch, "base", step)

        return batch_at

    def val_dataloader(self) -> Passes[Episode]:
        """Return episodes of the validation classes."""
        return self._evaluation("validation")

    def test_dataloader(self) -> Passes[Episode]:
        """Return episodes of the novel classes, drawn with seed 0 regardless of the training seed."""
        return self._evaluation("novel")

    def predict_dataloader(self) -> Passes[Episode]:
        """Return the episodes of the test."""
        return self._evaluation("novel")

    def _evaluation(self, split: Literal["validation", "novel"]) -> Passes[Episode]:
        examples: ExampleSet = getattr(self.task, split)
        episodes = self.episode_list(split)

        def batch_of(numbers: NDArray[np.int64]) -> Episode:
            return _episodes(examples, episodes[int(numbers[0]) : int(numbers[-1]) + 1], way=episodes.way)

        return Passes(batch_of, len(episodes), 100)


def _labels(examples: ExampleSet) -> NDArray[np.int64]:
    assert examples.labels is not None
    return examples.labels


def _episodes(examples: ExampleSet, indices: EpisodeIndices, *, way: int) -> Episode:
    """Return the episodes given by index arrays (E, ...)."""

    def gathered(places: NDArray[np.int64]) -> Tensor:
        inputs: Tensor = examples.batch(places.ravel()).inputs
        return inputs.reshape(*places.shape, *inputs.shape[1:])

    return Episode(
        support=gathered(indices.support),
        support_labels=torch.from_numpy(indices.support_labels.copy()),
        query=gathered(indices.query),
        query_labels=torch.from_numpy(indices.query_labels.copy()),
        way=way,
    )
