"""A source model that adapts while it predicts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Self

import torch
from torch import Tensor, nn

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.samplers import BatchSampler
from tlzoo.errors import InputTypeError
from tlzoo.functional.checks import check_counts
from tlzoo.lit.arguments import as_method, objects
from tlzoo.lit.classifier import Classifier
from tlzoo.lit.data.domains import DomainData
from tlzoo.lit.predicting import DataFacts
from tlzoo.methods.base import Method
from tlzoo.methods.test_time import TestTime
from tlzoo.randomness import Stream
from tlzoo.types import Sees

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData

__all__ = ["TestTimeAdaptation"]


class TestTimeAdaptation(Classifier):
    """Predicts on a stream of test batches with a :class:`~tlzoo.methods.test_time.TestTime` method; test only.

    Each ``trainer.test`` starts again from the source model. A method that declares the labelled source gets it from
    the first :class:`~tlzoo.lit.DomainData`, or from :meth:`start`.

    Args:
        network: the source model; the method copies it.
        method: a name of the registry, or a method that was built on a model.
        num_classes: C.
        method_settings: settings of a method given by name.
    """

    __test__ = False
    families = ("adaptation", "confusion")
    takes = (TestTime,)
    keeps_preparation = True
    method: TestTime

    def __init__(
        self,
        network: nn.Module,
        method: str | Method,
        *,
        num_classes: int,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(None)
        check_counts(num_classes=num_classes)
        self.save_hyperparameters(ignore=objects(network=network, method=method), logger=False)
        self.method = as_method(method, type(self), method_settings, model=network)
        self.num_classes = num_classes
        self._started = False

    @classmethod
    def for_data(cls, data: TaskData[Any], method: str | Method, *, network: nn.Module, **settings: Any) -> Self:
        """Return a module for a data module and a source model; ``settings`` are those of the constructor."""
        module = cls(network, method, **{"num_classes": data.num_classes, **settings})
        module.facts = DataFacts.of(data)
        return module

    @property
    def learns(self) -> bool:
        """Always False: nothing trains before the test."""
        return False

    def forward(self, inputs: Any) -> Tensor:
        """Map a batch (B, ...) to logits (B, C), and adapt to it."""
        return self.method(inputs)

    def export(self, path: str | os.PathLike[str], example: Any) -> NoReturn:
        """Refuse: a program would always answer as the source model.

        Raises:
            TypeError: always.
        """
        raise InputTypeError(
            f"{type(self).__name__} changes with every batch; export the source model, or adapt to a target first"
        )

    def start(self, data: DomainData) -> None:
        """Show the labelled source to a method that declares it; nothing happens for others, or without a source."""
        sees = self.method.sees
        if {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS} <= sees and len(data.task.source_train):
            source = data.task.training_data(sees, by=self.method_name).source
            self.method.start(_Source(source, data.batch_size, data.seed, self.device))
        self._started = True

    def on_test_start(self) -> None:
        """Start from the source model."""
        super().on_test_start()
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, DomainData) and not self._started:
            self.start(data)
        self.method.reset()


@dataclass(frozen=True)
class _Source:
    """Labelled batches of the source, in one random order that every pass repeats."""

    examples: ExampleSet
    batch_size: int
    seed: int
    device: torch.device

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        sampler = BatchSampler(len(self.examples), self.batch_size, seed=self.seed, stream=Stream.SOURCE_BATCHES)
        for step in range(sampler.steps_per_pass):
            batch = self.examples.batch(sampler(step)).to(self.device)
            assert batch.labels is not None
            yield batch.inputs, batch.labels
