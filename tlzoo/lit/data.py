"""Data modules: a method gets the view of a task that it declares, in batches that depend on (seed, step) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.data import load_task
from tlzoo.data.episodes import EpisodeSampler
from tlzoo.data.samplers import BatchSampler
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks import (
    DomainTask,
    DomainView,
    EpisodeTask,
    MultitaskTask,
    MultitaskView,
    Task,
    ZeroShotTask,
    ZeroShotView,
)
from tlzoo.lit.features import encode_descriptions, with_features
from tlzoo.types import Backbone, DomainBatch, Episode, Examples, Sees, TaskBatch

__all__ = ["DomainData", "EpisodeData", "MultitaskData", "StepLoader", "TaskData", "ZeroShotData"]

Batch = TypeVar("Batch")
T = TypeVar("T", bound=Task)


class StepLoader(Generic[Batch]):
    """An endless stream of batches, cut into epochs; each batch is a function of the step it is for.

    It is a stateful loader: Lightning stores the next step in the checkpoint, so a run goes on in the middle of an
    epoch with the batch that would have come.

    Args:
        batch_at: the batch of a step, counted from the start of training.
        steps: steps an epoch.
    """

    def __init__(self, batch_at: Callable[[int], Batch], steps: int) -> None:
        self.batch_at, self.steps, self.next = batch_at, steps, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        end = (self.next // self.steps + 1) * self.steps
        while self.next < end:
            step = self.next
            self.next += 1
            yield self.batch_at(step)

    def state_dict(self) -> dict[str, int]:
        """Return the next step."""
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a stored step."""
        self.next = state["next"]


class _Passes(Generic[Batch]):
    """One pass over a set, in order: for evaluation."""

    def __init__(self, batch_of: Callable[[NDArray[np.int64]], Batch], size: int, batch_size: int) -> None:
        self.batch_of, self.size, self.batch_size = batch_of, size, batch_size

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, self.size, self.batch_size):
            yield self.batch_of(np.arange(first, min(first + self.batch_size, self.size)))


class TaskData(pl.LightningDataModule, Generic[T]):
    """Base of data modules.

    Args:
        task: a name for :func:`tlzoo.load_task`, or a task.
        features: a backbone (or its name) that is run once, frozen: batches then hold its features, from the cache.
            None for raw inputs.
        batch_size: examples a step over all processes together (a side, where there are source and target).
        seed: batches depend on (seed, step) alone.
        steps_per_epoch: how many steps Lightning calls an epoch; None for one pass over the training set.
        root: folder of a data set of the user's own.
    """

    task: T

    def __init__(
        self,
        task: str | T,
        *,
        features: str | Backbone | None = None,
        batch_size: int = 36,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__()
        loaded: Any = load_task(task, root=root) if isinstance(task, str) else task
        self.task = loaded if features is None else with_features(loaded, features)
        self.batch_size, self.seed, self.steps_per_epoch = batch_size, seed, steps_per_epoch

    @property
    def num_classes(self) -> int:
        """Count the classes of the task."""
        return self.task.num_classes

    @property
    def num_features(self) -> int:
        """Width of the features that batches hold.

        Raises:
            ValueError: batches hold raw inputs.
        """
        inputs = next(iter(self.task.sets().values())).inputs[np.arange(1)]
        if getattr(inputs, "ndim", 0) != 2:
            raise ValueError(f"{self.task.name}: batches hold raw inputs; give features=BACKBONE to have features")
        return int(inputs.shape[1])

    def _method(self) -> tuple[frozenset[Sees], str]:
        """Return what the module's method declares, and its name."""
        if self.trainer is None:
            raise RuntimeError(
                "the data module learns what it may show from the trainer's module; use it with a Trainer"
            )
        module: Any = self.trainer.lightning_module
        return module.method.sees, module.method_name

    def _share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's part of a batch's indices."""
        if self.trainer is None or self.trainer.world_size == 1:
            return indices
        return np.array_split(indices, self.trainer.world_size)[self.trainer.global_rank]

    def _stream(self, batch_at: Callable[[int], Batch], *samplers: BatchSampler) -> StepLoader[Batch]:
        steps = self.steps_per_epoch or min(sampler.steps_per_pass for sampler in samplers)
        return StepLoader(batch_at, steps)

    def passes(self, examples: ExampleSet) -> _Passes[Examples]:
        """Return one pass over a set, in order, in this process's share of each batch."""
        return _Passes(lambda indices: examples.batch(self._share(indices)), len(examples), 256)


class DomainData(TaskData[DomainTask]):
    """Source and target batches of a :class:`~tlzoo.data.tasks.DomainTask`, as far as the module's method sees them.

    Args:
        task: see :class:`TaskData`.
        features: see :class:`TaskData`.
        scale: divide features by the standard deviation of all training features that the method may see.
        target_shots: at most so many labelled target examples a class, for methods that see target labels.
        batch_size: examples a step and domain.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`.
        root: see :class:`TaskData`.
    """

    view: DomainView

    def __init__(
        self,
        task: str | DomainTask,
        *,
        features: str | Backbone | None = None,
        scale: bool = False,
        target_shots: int | None = None,
        batch_size: int = 36,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__(
            task, features=features, batch_size=batch_size, seed=seed, steps_per_epoch=steps_per_epoch, root=root
        )
        if target_shots is not None:
            self.task = self.task.with_target_shots(target_shots, seed=seed)
        self.scale = scale
        self.evaluated = self.task

    def setup(self, stage: str) -> None:
        """Take the view of the task that the module's method declares."""
        sees, by = self._method()
        self.evaluated = self.task
        if self.scale:
            sides = {self.task.source_train: Sees.SOURCE_INPUTS, self.task.target_train: Sees.TARGET_INPUTS}
            shown = [examples for examples, side in sides.items() if side in sees]
            self.evaluated = self.task.map_sets(_scaled_by(_spread(shown)))
        self.view = self.evaluated.view(sees, by=by)

    def train_dataloader(self) -> StepLoader[DomainBatch]:
        """Return the stream of training batches; a side that the method does not see is None."""
        sees, _ = self._method()
        sides: dict[str, tuple[ExampleSet, BatchSampler]] = {}
        for stream, (name, side) in enumerate({"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}.items()):
            if side in sees:
                examples = getattr(self.view, name)
                sides[name] = examples, BatchSampler(len(examples), self.batch_size, seed=self.seed, stream=stream)

        def batch_at(step: int) -> DomainBatch:
            parts = {name: examples.batch(self._share(at(step))) for name, (examples, at) in sides.items()}
            return DomainBatch(source=parts.get("source"), target=parts.get("target"))

        return self._stream(batch_at, *(sampler for _, sampler in sides.values()))

    def val_dataloader(self) -> list[_Passes[Examples]]:
        """Return source test data, and the target training inputs where the method may see them."""
        sees, _ = self._method()
        loaders = [self.passes(self.evaluated.source_test)] if Sees.SOURCE_LABELS in sees else []
        return [*loaders, *([self.passes(self.view.target)] if Sees.TARGET_INPUTS in sees and loaders else [])]

    def target_batches(self) -> Iterable[Examples]:
        """Return one pass over the target training set as the method may see it."""
        return self.passes(self.view.target)

    def test_dataloader(self) -> _Passes[Examples]:
        """Return target test data."""
        return self.passes(self.evaluated.target_test)

    def predict_dataloader(self) -> _Passes[Examples]:
        """Return target test inputs."""
        return self.passes(self.evaluated.target_test)


def _spread(sets: Iterable[ExampleSet]) -> float:
    """Return the standard deviation of all numbers of all sets."""
    return float(np.concatenate([np.ravel(s.inputs[np.arange(len(s))]) for s in sets]).std())


def _scaled_by(spread: float) -> Callable[[ExampleSet], ExampleSet]:
    def scaled(examples: ExampleSet) -> ExampleSet:
        values = np.asarray(examples.inputs[np.arange(len(examples))]) / np.float32(spread)
        return examples.with_inputs(values)

    return scaled


class MultitaskData(TaskData[MultitaskTask]):
    """Batches of a :class:`~tlzoo.data.tasks.MultitaskTask`; see :class:`TaskData` for the arguments."""

    view: MultitaskView

    def setup(self, stage: str) -> None:
        """Take the view of the task that the module's method declares."""
        sees, by = self._method()
        self.view = self.task.view(sees, by=by)

    def train_dataloader(self) -> StepLoader[TaskBatch]:
        """Return the stream of training batches."""
        examples = self.view.train
        sampler = BatchSampler(len(examples), self.batch_size, seed=self.seed)
        return self._stream(lambda step: _task_batch(examples, self._share(sampler(step))), sampler)

    def val_dataloader(self) -> _Passes[TaskBatch]:
        """Return validation data; they choose settings and never train."""
        return self._evaluation(self.task.validation)

    def test_dataloader(self) -> _Passes[TaskBatch]:
        """Return test data."""
        return self._evaluation(self.task.test)

    def predict_dataloader(self) -> _Passes[TaskBatch]:
        """Return test data."""
        return self._evaluation(self.task.test)

    def _evaluation(self, examples: ExampleSet) -> _Passes[TaskBatch]:
        return _Passes(lambda indices: _task_batch(examples, self._share(indices)), len(examples), 256)


def _task_batch(examples: ExampleSet, indices: NDArray[np.int64]) -> TaskBatch:
    targets = {name: torch.from_numpy(column[indices]) for name, column in examples.targets.items()}
    return TaskBatch(inputs=examples.batch(indices).inputs, targets=targets)


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
            numbers = self._share(np.arange(step * self.batch_size, (step + 1) * self.batch_size))
            return _episodes(view.base, sampler, int(numbers[0]), len(numbers))

        assert self.steps_per_epoch is not None
        return StepLoader(batch_at, self.steps_per_epoch)

    def val_dataloader(self) -> _Passes[Episode]:
        """Return episodes of the validation classes."""
        return self._evaluation(self.task.validation)

    def test_dataloader(self) -> _Passes[Episode]:
        """Return episodes of the novel classes, drawn with seed 0 whatever the training's."""
        return self._evaluation(self.task.novel)

    def predict_dataloader(self) -> _Passes[Episode]:
        """Return the episodes of the test."""
        return self._evaluation(self.task.novel)

    def _evaluation(self, examples: ExampleSet) -> _Passes[Episode]:
        sampler = self.sampler(examples, seed=0)
        batch_of = lambda numbers: _episodes(examples, sampler, int(numbers[0]), len(numbers))  # noqa: E731
        return _Passes(batch_of, self.episodes, 100)


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

    def train_dataloader(self) -> StepLoader[Examples] | _Passes[Examples]:
        """Return examples of seen classes: a stream for a trained method, one pass in order for a closed form."""
        module: Any = self.trainer.lightning_module if self.trainer is not None else None
        if not module.trained:
            return self.passes(self.view.train)
        sampler = BatchSampler(len(self.view.train), self.batch_size, seed=self.seed)
        return self._stream(lambda step: self.view.train.batch(self._share(sampler(step))), sampler)

    def val_dataloader(self) -> list[_Passes[Examples]]:
        """Return examples of the held-out classes, which play unseen; nothing where there are none."""
        return [] if self.task.validation is None else [self._answers(self.task.validation, "validation")]

    def test_dataloader(self) -> list[_Passes[Examples]]:
        """Return test examples of unseen classes, and in the generalized protocol those of seen ones."""
        seen = [] if self.task.test_seen is None else [self._answers(self.task.test_seen, "test")]
        return [self._answers(self.task.test, "test"), *seen]

    def predict_dataloader(self) -> list[_Passes[Examples]]:
        """Return the inputs of the test."""
        return self.test_dataloader()

    def _answers(self, examples: ExampleSet, split: str) -> _Passes[Examples]:
        """Return a pass in which labels count within the split's candidates."""
        assert examples.labels is not None
        labels = self.recounted(examples.labels, split)
        return self.passes(replace(examples, labels=labels))
