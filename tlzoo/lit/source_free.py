"""Adaptation of a source model to the target without source data."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.lit.arguments import as_method, objects
from tlzoo.lit.feature_gradients import FeatureWatch
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.predicting import DataFacts
from tlzoo.lit.target_module import TargetModule
from tlzoo.methods.base import Method
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.joint_forward import through, with_views
from tlzoo.nn.network import Network
from tlzoo.types import DomainBatch, Examples, Sees

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData

__all__ = ["SourceFreeAdaptation"]


class SourceFreeAdaptation(TargetModule):
    """Adapts a source model to the unlabelled target; its data module never reads the source.

    Args:
        network: the source model, such as ``DomainAdaptation(...).network`` after training; it is copied.
        method: a name of the registry, or a :class:`~tlzoo.methods.source_free.SourceFree` method.
        num_classes: C.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        method_settings: settings of a method given by name.

    >>> from tlzoo.backbones import create_backbone
    >>> source_model = Network(create_backbone("mlp", num_inputs=4), 3, bottleneck=8)
    >>> SourceFreeAdaptation(source_model, "shot", num_classes=3).method_name
    'adaptation/shot'
    """

    families = ("adaptation", "confusion")
    takes = (SourceFree,)
    keeps_preparation = True
    method: SourceFree

    def __init__(
        self,
        network: Network,
        method: str | Method,
        *,
        num_classes: int,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        check_counts(num_classes=num_classes)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(network=network, method=method), logger=False)
        shape = {"num_features": network.num_features, "num_classes": num_classes}
        own: SourceFree = as_method(method, type(self), method_settings, **shape)
        self._assemble(copy.deepcopy(network), own, num_classes)
        own.prepare(self.network)
        self.automatic_optimization = own.learns

    @classmethod
    def for_data(cls, data: TaskData[Any], method: str | Method, *, network: Network, **settings: Any) -> Self:
        """Return a module for a data module and a source model; ``settings`` are those of the constructor."""
        module = cls(network, method, **{"num_classes": data.num_classes, **settings})
        module.facts = DataFacts.of(data)
        return module

    @property
    def learns(self) -> bool:
        """Always True: even a method without a loss reads the target."""
        return True

    def on_fit_start(self) -> None:
        """Give the method one pass over the target."""
        super().on_fit_start()
        if self.resumed:
            return  # the checkpoint holds what that pass found
        with self.trainer.precision_plugin.forward_context():  # a hook has none, unlike a step
            self.method.start(self.network, self._target_inputs())

    def _target_inputs(self) -> Iterator[Any]:
        for batch in self.trainer.datamodule.target_batches(shuffle=True):  # type: ignore[attr-defined]
            yield batch.to(self.device).inputs

    def configure_optimizers(self) -> Any:
        """Build an optimizer for methods that have a loss."""
        return super().configure_optimizers() if self.method.learns else []

    def training_step(self, batch: DomainBatch, batch_idx: int) -> Tensor | None:
        """Return the loss of the target batch; stop at once if there is nothing to learn."""
        if not self.method.learns:
            self.trainer.should_stop = True  # no step is counted, so max_steps would never be reached
            return None
        batch = self.checked(batch)
        assert batch.target is not None
        with FeatureWatch(self.network.head, active=self._logs_now) as watch, self.passing(self.network):
            said = through(self.network, with_views("target", batch.target))
        target = self._shown(self._with_views(said, "target", batch.target), Sees.TARGET_LABELS)
        terms = dict(self.method.loss(target, progress=self.progress, model=self.network))
        terms |= watch.terms(terms["loss"])
        self.log_terms(terms, batch.size)
        return self.check_loss(terms["loss"], terms)

    def validation_step(self, batch: Examples, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect the predictions for unlabelled target training inputs."""
        self._target_outputs.append(self.network(batch.inputs))

    def on_validation_epoch_end(self) -> None:
        """Log the label-free scores of the target."""
        self._log_scores()
