"""Source and target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.data.augment import VIEWS
from tlzoo.data.augmented_views import DrawnViews, StoredViews, Views
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.samplers import BalancedSampler, BatchSampler
from tlzoo.data.tasks import DomainTask, DomainTrainingData
from tlzoo.data.tasks.base import restricted
from tlzoo.errors import InputError, InputTypeError
from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.lit.data.augmentation import Augmentation
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.loaders import NoLoaders, Passes, StepLoader
from tlzoo.lit.frozen_features import view_features
from tlzoo.lit.module import TransferModule
from tlzoo.methods.domain_method import check_for_regression
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.nn.preparation import Preparation, Side
from tlzoo.nn.value_head import ValueHead
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
            of both domains before training, which then starts from features that are aligned in closed form. A method
            that sees one domain alone is shown the other's statistics this way.
        transform_settings: settings of a transform given by name.
        scale: divide features by the standard deviation of all training features that the method may see, or by a
            number. After the transform.
        target_shots: at most so many labelled target examples a class, for methods that see target labels.
        held_out_share: share of each source domain's training examples that batches leave out, for methods that
            validate themselves (``Need.HELD_OUT``).
        augment: a transform of training pictures, of ``torchvision.transforms.v2`` or timm, see
            :class:`~tlzoo.lit.data.augmentation.Augmentation`.
        stored_views: how many weak and strong views of a target picture a frozen backbone is run on, for methods that
            need views; one of them is drawn in a step. Without a frozen backbone new views are drawn in every step.
        batch_size: examples a step and domain.
        seed: see :class:`TaskData`.
        steps_per_epoch: see :class:`TaskData`.
        root: see :class:`TaskData`.

    Transform and scale become a part of the module's network (:class:`~tlzoo.nn.preparation.Preparation`): they are in
    its checkpoint, and it answers raw features as ``trainer.test`` did. A source model that goes on to another domain
    keeps its own.
    """

    takes = DomainTask
    training_data: DomainTrainingData
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
        held_out_share: float = 0.2,
        augment: Callable[[Any], Any] | None = None,
        stored_views: int = 4,
        batch_size: int = 36,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        root: str | None = None,
    ) -> None:
        super().__init__(
            task, features=features, batch_size=batch_size, seed=seed, steps_per_epoch=steps_per_epoch, root=root
        )
        check_counts(stored_views=stored_views)
        if not isinstance(scale, bool):
            check_positive(scale=scale)
        check_shares(above_zero=True, below_one=True, held_out_share=held_out_share)
        if target_shots is not None:
            check_counts(target_shots=target_shots)
            self.task = self.task.with_target_shots(target_shots, seed=seed)
            self.raw = self.raw.with_target_shots(target_shots, seed=seed)
        self.transform: FeatureTransform | None = None
        if scale or transform is not None:
            width = self.num_features  # raw inputs have none, which is an error: preprocessing scales them
        if transform is not None:
            self.transform = _as_transform(
                transform, transform_settings, num_features=width, num_classes=self.task.num_outputs
            )
            if self.task.regression:
                check_for_regression(self.transform, self.task.name)
        self.scale, self.stored_views, self.held_out_share = scale, stored_views, held_out_share
        self._held_out: ExampleSet | None = None
        if augment is not None and features is not None:
            raise InputError(
                "augment changes pictures in every step, and the frozen backbone of features reads each once; drop "
                "features and give the module the backbone"
            )
        self.augment = None if augment is None else Augmentation(augment, seed=seed)

    def setup(self, stage: str) -> None:
        """Take the parts of the task that the module's method declares, and fit transform and scale before training."""
        module = self._module()
        self._show(module)
        if stage == "fit":
            self._set_unit(module)
        if stage == "fit" or module.preparation is None:
            self._prepare(module)

    def attach(self, module: TransferModule) -> None:
        """Do what :meth:`setup` does before training, without a trainer."""
        self._show(module)
        self._set_unit(module)
        self._prepare(module)

    def _set_unit(self, module: TransferModule) -> None:
        """Tell the head of a regression the mean and deviation of the training values that its method sees."""
        heads = [part for part in module.modules() if isinstance(part, ValueHead)]
        if self.task.regression != bool(heads):
            kinds = ("classes", "num_classes") if heads else ("real numbers", "num_values")
            raise InputError(f"the targets of {self.task.name} are {kinds[0]}; build the module with {kinds[1]}")
        if heads:
            seen = self.training_data
            examples = seen.source if Sees.SOURCE_LABELS in module.method.sees else seen.target
            for head in heads:
                head.fit(torch.from_numpy(examples.labels).to(head.center.device))

    def _show(self, module: TransferModule) -> None:
        sees, by = module.method.sees, module.method_name
        if self.task.shots is not None and not module.takes_shots:
            raise InputError(
                f"{self.task.name} has labelled target examples, but {type(module).__name__} with {by} cannot learn "
                "from them besides the source; load the task without its shots, or use a method with a single loss"
            )
        task, self._held_out = self.task, None
        if Need.HELD_OUT in module.method.needs:
            task, held_out = task.holding_out(self.held_out_share, seed=self.seed)
            self._held_out = restricted(held_out, by=by, labels=Sees.SOURCE_LABELS in sees)
        self.training_data = task.training_data(sees, by=by)
        wanted = Need.VIEWS in module.method.needs and Sees.TARGET_INPUTS in sees
        self.views = self._target_views(getattr(module.method, "views", VIEWS)) if wanted else None

    def _target_views(self, names: tuple[str, ...]) -> Views:
        """Return the views of target training examples: of images, or of the numbers in batches."""
        if self.features is None or self.raw.target_train.modality != "image":
            return DrawnViews(self.training_data.target, seed=self.seed, mirrored=self.task.mirrored, names=names)
        copies = view_features(
            self.raw.target_train, self.features, copies=self.stored_views, mirrored=self.task.mirrored
        )
        return StoredViews(copies, seed=self.seed, names=names)

    @property
    def num_features(self) -> int:
        """Width of the features that the backbone is given, after the transform.

        Raises:
            ValueError: batches hold raw inputs.
        """
        return super().num_features if self.transform is None else self.transform.width

    @property
    def transform_sees(self) -> frozenset[Sees]:
        """What the transform was fitted to, in addition to what the module's method declares."""
        if self.transform is None:
            return frozenset()
        labels = {Sees.SOURCE_LABELS} if self.transform.supervised else set()
        return self.transform.sees & {*_SIDES.values(), *labels}

    def _prepare(self, module: TransferModule) -> None:
        """Fit transform and scale, the latter to what the module's method may see, as a part of its network.

        Raises:
            ValueError: the module's source model brings its own, or it is a module without a network to hold them.
        """
        if self.transform is None and not self.scale:
            return
        if module.keeps_preparation and module.preparation is not None:
            raise InputError(
                f"the network of {type(module).__name__} brings the transform and scale that it was trained with; drop "
                "transform and scale"
            )
        if self.transform is not None:
            self._fit_transform(self.transform)
        preparation = Preparation()
        preparation.fit(self.transform, float(self.scale) if self.scale and self.scale is not True else None)
        if self.scale is True:
            shown: list[Side] = [side for side, inputs in _SIDES.items() if inputs in module.method.sees]
            prepared = (preparation(_values(self.task.sets()[f"{side}_train"]), side) for side in shown)
            preparation.fit(self.transform, _spread(prepared))
        module.prepare_features(preparation)

    def _fit_transform(self, transform: FeatureTransform) -> None:
        seen = self.task.training_data(self.transform_sees, by=transform.name)
        target = _values(seen.target) if Sees.TARGET_INPUTS in self.transform_sees else None
        transform.fit(_values(seen.source), target, seen.source.labels if transform.supervised else None)

    def train_dataloader(self) -> StepLoader[DomainBatch]:
        """Return the stream of training batches; a side that the method does not see is None.

        With several sources, each contributes the same number of examples to a batch.
        """
        sees, _ = self._method()
        seen = self.training_data
        drawn: dict[str, tuple[ExampleSet, BatchSampler | BalancedSampler]] = {}
        if Sees.SOURCE_INPUTS in sees:
            drawn["source"] = seen.source, self._source_sampler()
        if Sees.TARGET_INPUTS in sees:
            drawn["target"] = seen.target, self._sampler(seen.target, stream=Stream.TARGET_BATCHES)
        sides = [sampler for _, sampler in drawn.values()]  # shots are few, so they do not determine an epoch
        if seen.shots is not None:
            drawn["shots"] = seen.shots, self._sampler(seen.shots, stream=Stream.SHOT_BATCHES)

        def batch_at(step: int) -> DomainBatch:
            shares = {name: self._training_share(at(step)) for name, (_, at) in drawn.items()}
            parts = {name: examples.batch(shares[name]) for name, (examples, _) in drawn.items()}
            if "target" in parts:
                parts["target"] = self._numbered(parts["target"])
            if self.views is not None:
                parts["target"].views = self.views(shares["target"], step)
            if self.augment is not None:
                parts = {name: self.augment(part, name, step) for name, part in parts.items()}
            return DomainBatch(**{"source": None, "target": None, **parts})

        return self._stream(batch_at, *sides)

    def _source_sampler(self) -> BatchSampler | BalancedSampler:
        domains = self.training_data.source.domains
        if not self.task.source_names or domains is None:
            return self._sampler(self.training_data.source, stream=Stream.SOURCE_BATCHES)
        return BalancedSampler(domains, self.batch_size, seed=self.seed, stream=Stream.SOURCE_BATCHES)

    def _sampler(self, examples: ExampleSet, *, stream: Stream) -> BatchSampler:
        return BatchSampler(len(examples), self.batch_size, seed=self.seed, stream=stream)

    def val_dataloader(self) -> list[Passes[Examples]] | NoLoaders:
        """Return source test data if the method sees source labels, and target training inputs.

        A method that sees target labels gets no target inputs, because it needs no label-free scores.
        """
        sees, _ = self._method()
        source = [self.passes(self.task.source_test)] if Sees.SOURCE_LABELS in sees else []
        label_free = Sees.TARGET_INPUTS in sees and (source or Sees.TARGET_LABELS not in sees)
        return [*source, *([self.passes(self.training_data.target)] if label_free else [])] or NoLoaders()

    def target_batches(self, *, shuffle: bool = False) -> Iterable[Examples]:
        """Return one pass over the whole target training set as the method may see it, in every process.

        Args:
            shuffle: in an order that ``seed`` draws: the batches of a sorted set are of one class.
        """
        target = self.training_data.target
        order = np.arange(len(target))
        if shuffle:
            order = numpy_generator(self.seed, Stream.TARGET_START).permutation(order)
        return Passes(lambda places: self._numbered(target.batch(order[places])), len(target), 256)

    def held_out_batches(self) -> Passes[Examples]:
        """Return one pass over the labelled source training examples that batches leave out, in every process.

        Raises:
            ValueError: none are left out, because the method does not declare ``Need.HELD_OUT``.
        """
        if self._held_out is None:
            raise InputError("batches leave no source example out; declare Need.HELD_OUT in the method's needs")
        return self.passes(self._held_out, whole=True)

    def _numbered(self, target: Examples) -> Examples:
        """Return target examples under other indices, drawn by ``seed``.

        A method can remember examples by their indices, and two domains can be collected in the same order: the same
        index in the source would then tell the label.
        """
        assert target.indices is not None
        return replace(target, indices=self._numbers[target.indices])

    @cached_property
    def _numbers(self) -> Tensor:
        random = numpy_generator(self.seed, Stream.TARGET_INDICES)
        return torch.from_numpy(random.permutation(len(self._task.target_train)))

    def test_dataloader(self) -> Passes[Examples]:
        """Return target test data.

        A method that adapts to them gets them in batches of ``batch_size``, shuffled by ``seed``, because a sorted set
        would have batches of a single class.
        """
        sees, _ = self._method()
        if Sees.TEST_INPUTS not in sees:
            return self.passes(self.task.target_test)
        examples = self.task.target_test
        return self.passes(examples.subset(self.order_of(examples)), batch_size=self.batch_size)

    def order_of(self, examples: ExampleSet) -> NDArray[np.int64]:
        """Return the (N,) order in which a method that adapts on the way sees a set.

        It is random, except for a stream: a set with the attributes ``segment``, the blocks in order, and ``place``,
        that of an item in its block, or -1 for a random one.
        """
        random = numpy_generator(self.seed, Stream.TEST_ORDER).permutation(len(examples))
        if "segment" not in examples.attributes:
            return random
        place = examples.attributes["place"]
        rank = np.argsort(random)
        return np.lexsort((np.where(place < 0, rank, place), examples.attributes["segment"]))

    def predict_dataloader(self) -> Passes[Examples]:
        """Return target test inputs."""
        return self.passes(self.task.target_test)


_SIDES: dict[Side, Sees] = {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}


def _values(examples: ExampleSet) -> Tensor:
    return torch.from_numpy(np.asarray(examples.inputs[np.arange(len(examples))]))


def _spread(features: Iterable[Tensor]) -> float:
    """Return the standard deviation of all numbers of all features."""
    return float(np.concatenate([np.ravel(values.numpy()) for values in features]).std())


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
        raise InputTypeError(f"{made.name} is not a feature transform; expected one of {', '.join(known)}")
    return made
