"""Source and target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tlzoo.data.augmented_views import DrawnViews, StoredViews, Views
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.samplers import BalancedSampler, BatchSampler
from tlzoo.data.tasks import DomainTask, DomainView
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import NoLoaders, Passes, StepLoader
from tlzoo.lit.frozen_features import view_features
from tlzoo.lit.module import TransferModule
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.randomness import Stream, numpy_generator
from tlzoo.registry import METHODS, accepted_settings, create_method, method_class, short_name
from tlzoo.types import DomainBatch, Examples, Need, Sees

__all__ = ["DomainData"]


class DomainData(TaskData[DomainTask]):
    """Source and target batches of a :class:`~tlzoo.data.tasks.DomainTask`, restricted to what the method sees.

    Args:
        task: see :class:`TaskData`.
        features: see :class:`TaskData`.
        transform: a :class:`~tlzoo.methods.transforms.FeatureTransform` or its name, fitted to the training features
            of both domains before the module sees any: training then starts from features that are aligned in closed
            form. A method that sees one domain alone is shown the other's statistics this way.
        transform_settings: settings of a transform given by name.
        scale: divide features by the standard deviation of all training features that the method may see; or by a
            number, such as the one that a source model was trained with. After the transform.
        target_shots: at most so many labelled target examples a class, for methods that see target labels.
        stored_views: how many weak and strong views of a target picture a frozen backbone is run on, for methods that
            need views; one of them is drawn in a step. Without a frozen backbone views are drawn anew in every step.
        batch_size: examples a step and domain.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`.
        root: see :class:`TaskData`.
    """

    takes = DomainTask
    view: DomainView
    views: Views | None

    def __init__(
        self,
        task: str | DomainTask,
        *,
        features: str | nn.Module | None = None,
        transform: str | FeatureTransform | None = None,
        transform_settings: Mapping[str, Any] | None = None,
        scale: bool | float = False,
        target_shots: int | None = None,
        stored_views: int = 4,
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
            self.raw = self.raw.with_target_shots(target_shots, seed=seed)
        self.transform: FeatureTransform | None = None
        if scale or transform is not None:
            width = self.num_features  # raw inputs have none, which is an error: preprocessing scales them
        if transform is not None:
            self.transform = _as_transform(
                transform, transform_settings, num_features=width, num_classes=self.num_classes
            )
        self.scale, self.spread, self.stored_views = scale, 1.0, stored_views
        self.evaluated = self.task

    def setup(self, stage: str) -> None:
        """Create the view of the task that the module's method declares."""
        self._show(self._module())

    def attach(self, module: TransferModule) -> None:
        """Create the view that a module's method declares, without a trainer."""
        self._show(module)

    def _show(self, module: TransferModule) -> None:
        sees, by = module.method.sees, module.method_name
        if self.task.shots is not None and not module.takes_shots:
            raise ValueError(
                f"{self.task.name} has labelled target examples, but {type(module).__name__} with {by} cannot learn "
                "from them beside the source; load the task without its shots, or use a method with a single loss"
            )
        self._prepare(sees)
        self.view = self.evaluated.view(sees, by=by)
        wanted = Need.VIEWS in module.method.needs and Sees.TARGET_INPUTS in sees
        self.views = self._target_views() if wanted else None

    def _target_views(self) -> Views:
        """Return the views of target training examples: of pictures, or of the numbers in batches."""
        if self.features is None or self.raw.target_train.modality != "image":
            return DrawnViews(self.view.target, seed=self.seed, mirrored=self.task.mirrored)
        copies = view_features(
            self.raw.target_train, self.features, copies=self.stored_views, mirrored=self.task.mirrored
        )
        prepared = {name: [self._prepared(rows, "target") for rows in arrays] for name, arrays in copies.items()}
        return StoredViews(prepared, seed=self.seed)

    @property
    def num_features(self) -> int:
        """The width of the features in batches, after the transform.

        Raises:
            ValueError: batches hold raw inputs.
        """
        return super().num_features if self.transform is None else self.transform.width

    @property
    def transform_sees(self) -> frozenset[Sees]:
        """The inputs that the transform was fitted to, in addition to what the module's method declares."""
        return frozenset() if self.transform is None else self.transform.sees & set(_SIDES.values())

    def _prepare(self, sees: frozenset[Sees]) -> None:
        """Fit and apply transform and scale; the scale only uses what a method that declares ``sees`` may see."""
        self.evaluated, self.spread = self.task, 1.0
        if self.transform is not None:
            view = self.task.view(self.transform_sees, by=self.transform.name)
            target = _values(view.target) if Sees.TARGET_INPUTS in self.transform_sees else None
            self.transform.fit(
                torch.from_numpy(_values(view.source)), None if target is None else torch.from_numpy(target)
            )
        if self.scale is True:
            shown = [side for side, inputs in _SIDES.items() if inputs in sees]
            self.spread = _spread(self._prepared(_values(self.task.sets()[f"{side}_train"]), side) for side in shown)
        elif self.scale:
            self.spread = float(self.scale)
        if self.transform is not None or self.scale:
            sets: dict[str, Any] = {
                name: examples.with_inputs(self._prepared(_values(examples), side))
                for name, examples in self.task.sets().items()
                for side in ("source" if name.startswith("source") else "target",)
            }
            self.evaluated = replace(self.task, **sets)

    def _prepared(self, values: NDArray[Any], side: str) -> NDArray[Any]:
        """Return features (N, D) of a side as the module gets them."""
        if self.transform is not None:
            mapped = self.transform.transform_source if side == "source" else self.transform.transform_target
            values = mapped(torch.from_numpy(values)).float().numpy()
        return values / np.float32(self.spread) if self.scale else values

    def train_dataloader(self) -> StepLoader[DomainBatch]:
        """Return the stream of training batches; a side that the method does not see is None.

        With several sources, each contributes the same number of examples to a batch.
        """
        sees, _ = self._method()
        drawn: dict[str, tuple[ExampleSet, BatchSampler | BalancedSampler]] = {}
        if Sees.SOURCE_INPUTS in sees:
            drawn["source"] = self.view.source, self._source_sampler()
        if Sees.TARGET_INPUTS in sees:
            drawn["target"] = self.view.target, self._sampler(self.view.target, stream=Stream.TARGET_BATCHES)
        sides = [sampler for _, sampler in drawn.values()]  # shots are few, and no measure of an epoch
        if self.view.shots is not None:
            drawn["shots"] = self.view.shots, self._sampler(self.view.shots, stream=Stream.SHOT_BATCHES)

        def batch_at(step: int) -> DomainBatch:
            shares = {name: self._training_share(at(step)) for name, (_, at) in drawn.items()}
            parts = {name: examples.batch(shares[name]) for name, (examples, _) in drawn.items()}
            if self.views is not None:
                parts["target"].views = self.views(shares["target"], step)
            return DomainBatch(**{"source": None, "target": None, **parts})

        return self._stream(batch_at, *sides)

    def _source_sampler(self) -> BatchSampler | BalancedSampler:
        domains = self.view.source.domains
        if not self.task.source_names or domains is None:
            return self._sampler(self.view.source, stream=Stream.SOURCE_BATCHES)
        return BalancedSampler(domains, self.batch_size, seed=self.seed, stream=Stream.SOURCE_BATCHES)

    def _sampler(self, examples: ExampleSet, *, stream: Stream) -> BatchSampler:
        return BatchSampler(len(examples), self.batch_size, seed=self.seed, stream=stream)

    def val_dataloader(self) -> list[Passes[Examples]] | NoLoaders:
        """Return source test data if the method sees source labels, and target training inputs.

        A method that sees target labels gets no target inputs, because it needs no label-free scores.
        """
        sees, _ = self._method()
        source = [self.passes(self.evaluated.source_test)] if Sees.SOURCE_LABELS in sees else []
        label_free = Sees.TARGET_INPUTS in sees and (source or Sees.TARGET_LABELS not in sees)
        return [*source, *([self.passes(self.view.target)] if label_free else [])] or NoLoaders()

    def target_batches(self, *, shuffle: bool = False) -> Iterable[Examples]:
        """Return one pass over the whole target training set as the method may see it, in every process.

        Args:
            shuffle: in an order that ``seed`` draws: the batches of a sorted set are of one class.
        """
        target = self.view.target
        order = np.arange(len(target))
        if shuffle:
            order = numpy_generator(self.seed, Stream.TARGET_START).permutation(order)
        return Passes(lambda places: target.batch(order[places]), len(target), 256)

    def test_dataloader(self) -> Passes[Examples]:
        """Return target test data.

        A method that adapts to them gets them in batches of ``batch_size``, shuffled by ``seed``, because a sorted set
        would have batches of a single class.
        """
        sees, _ = self._method()
        if Sees.TEST_INPUTS not in sees:
            return self.passes(self.evaluated.target_test)
        examples = self.evaluated.target_test
        return self.passes(examples.subset(self.order_of(examples)), batch_size=self.batch_size)

    def order_of(self, examples: ExampleSet) -> NDArray[np.int64]:
        """Return the (N,) order in which a method that adapts on the way sees a set."""
        return numpy_generator(self.seed, Stream.TEST_ORDER).permutation(len(examples))

    def predict_dataloader(self) -> Passes[Examples]:
        """Return target test inputs."""
        return self.passes(self.evaluated.target_test)


_SIDES = {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}


def _values(examples: ExampleSet) -> NDArray[Any]:
    return np.asarray(examples.inputs[np.arange(len(examples))])


def _spread(arrays: Iterable[NDArray[Any]]) -> float:
    """Return the standard deviation of all numbers of all arrays."""
    return float(np.concatenate([np.ravel(values) for values in arrays]).std())


def _as_transform(
    transform: str | FeatureTransform, settings: Mapping[str, Any] | None, **shape: int
) -> FeatureTransform:
    made = (
        create_method(transform, **accepted_settings(transform, **shape) | dict(settings or {}))
        if isinstance(transform, str)
        else transform
    )
    if not isinstance(made, FeatureTransform):
        known = [short_name(name) for name in METHODS if issubclass(method_class(name), FeatureTransform)]
        raise TypeError(f"{made.name} is no transform of features; expected one of {', '.join(known)}")
    return made
