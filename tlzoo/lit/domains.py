"""Domain adaptation and domain confusion: labelled source, unlabelled target, a single loss."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_choice, check_counts, check_flags
from tlzoo.lit.alternation import alternate
from tlzoo.lit.arguments import as_backbone, as_method, objects
from tlzoo.lit.feature_gradients import FeatureWatch
from tlzoo.lit.for_data import OnBackbone
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.target_module import TargetModule
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.base import Method
from tlzoo.methods.domain_method import check_for_regression
from tlzoo.nn.joint_forward import through, with_views
from tlzoo.nn.network import Network
from tlzoo.nn.value_head import ValueHead
from tlzoo.types import DomainBatch, Examples, Need, Prediction, Sees, withheld

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData

__all__ = ["DomainAdaptation", "DomainConfusion", "DomainModule"]


class DomainModule(OnBackbone, TargetModule):
    """Base of both modules: the supervised loss of the source plus the term of an alignment.

    Labelled target examples of a semi-supervised task (``:3shot``) join the supervised loss, which is the mean over the
    labelled examples of both domains; the method itself still gets source and unlabelled target.

    ``validation/*`` holds the accuracy on source validation data and the label-free scores of
    :mod:`tlzoo.selection` on unlabelled target inputs; ``test/*`` the accuracy on target test data.

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, or a method.
        num_classes: C.
        num_values: T, in place of ``num_classes`` for a regression: labels are numbers (N, T), and the loss is the
            squared error. Loss and method see predictions and labels in deviations from the labels' mean, which a data
            module tells (:class:`~tlzoo.nn.value_head.ValueHead`); ``module(inputs)`` and ``predict`` answer in the
            labels' own unit.
        bottleneck: width of a linear, batch norm, ReLU layer between backbone and head; None for none.
        batch_statistics: whether source and target pass through the network together (``"joint"``: batch norm sees
            both) or one after the other (``"per_domain"``).
        gather: with several processes, compute losses on the joined batch of all; if False, each process has its own.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: settings of a backbone given by name.
        method_settings: settings of a method given by name.
    """

    families: ClassVar[tuple[str, ...]] = ("adaptation", "confusion")
    takes: ClassVar[tuple[type[Method], ...]] = (Alignment, Alternating)
    method: Alignment | Alternating

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        num_classes: int | None = None,
        num_values: int | None = None,
        bottleneck: int | None = None,
        batch_statistics: Literal["joint", "per_domain"] = "joint",
        gather: bool = True,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        check_choice(batch_statistics, ("joint", "per_domain"), what="batch_statistics")
        check_flags(gather=gather)
        outputs = _num_outputs(num_classes, num_values)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        backbone = as_backbone(backbone, backbone_settings)
        width = backbone.num_features if bottleneck is None else bottleneck
        shape = {"num_features": width, "num_classes": outputs}
        own: Alignment | Alternating = as_method(method, type(self), method_settings, **shape)
        if num_values is not None:
            check_for_regression(own, "this")
        head = own.make_head()
        if num_values is not None:
            if head is not None:
                raise InputError(
                    f"{own.name} brings a head for classes, and this is a regression; leave its setting out"
                )
            head = ValueHead(width, num_values)
        self._assemble(Network(backbone, outputs, bottleneck=bottleneck, head=head), own, outputs)
        self.num_values = num_values
        self.batch_statistics, self.gather = batch_statistics, gather
        self.automatic_optimization = isinstance(own, Alignment)
        own.prepare(self.network)
        self.source_scores = self.plain_scores()
        self._source_outputs: list[Prediction] = []

    @classmethod
    def settings_from_data(cls, data: TaskData[Any]) -> dict[str, Any]:
        """Return the number of classes, or of the targets of a regression."""
        regression = data.task.regression
        return {"num_values": len(data.task.value_names)} if regression else {"num_classes": data.num_classes}

    @property
    def label_values(self) -> int | None:
        """The number of real-numbered targets of a regression; None for classes."""
        return self.num_values

    def training_step(self, batch: DomainBatch, batch_idx: int) -> Tensor:
        """Return the supervised loss of the source plus the term of the method."""
        batch = self.checked(batch)
        if isinstance(self.method, Alternating):
            return alternate(self, self.method, batch)
        with FeatureWatch(self.network.head, active=self._logs_now) as watch:
            source, target, shots = self._predictions(batch)
        terms = dict(self.method(source, target, progress=self.progress, model=self.network))
        terms |= watch.terms(terms["loss"])
        labelled = {"source": source} if Sees.SOURCE_LABELS in self.method.sees else {}
        if shots is not None:
            labelled["shots"] = shots
        count = sum(map(len, labelled.values()))
        for name, prediction in labelled.items():
            terms[name] = self._supervised(source) if name == "source" else _cross_entropy(prediction)
            terms["loss"] = terms["loss"] + terms[name] * (len(prediction) / count)
        self.log_terms(terms, batch.size)
        return self.check_loss(terms["loss"], terms)

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        """Take a step, then let the method follow the network."""
        super().optimizer_step(*arguments, **settings)
        self.method.after_step(self.network)
        if Need.HELD_OUT in self.method.needs:
            self.method.validate(self._progress_at(self.global_step + 1), self._held_out)

    def _held_out(self) -> Prediction:
        """Return the predictions for the source examples that training batches lack, with what is known of them."""
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "held_out_batches"):
            raise InputError(f"{self.method_name} needs held-out source examples; train it on a DomainData")
        batches: list[Examples] = list(data.held_out_batches())
        with self.trainer.precision_plugin.forward_context():
            said = self._pass(batches, side="source")

        def known(name: str) -> Tensor | None:
            parts = [getattr(batch, name) for batch in batches]
            return None if parts[0] is None else torch.cat(parts).to(self.device)

        return replace(said, labels=known("labels"), domains=known("domains"))

    def _supervised(self, source: Prediction) -> Tensor:
        assert isinstance(self.method, Alignment)
        weights = self.method.source_weights(source)
        if self.num_values is not None:
            assert source.labels is not None
            return F.mse_loss(source.logits, source.labels)
        if weights is None:
            return _cross_entropy(source)
        return (weights * _cross_entropy(source, reduction="none")).mean()

    def passing(self, network: nn.Module) -> AbstractContextManager[None]:
        """Return a context for a pass over a part of a batch; without ``gather``, each process is on its own."""
        return super().passing(network) if self.gather else nullcontext()

    @property
    def takes_shots(self) -> bool:
        """Whether it learns from shots: alignments do; phases of alternating methods learn only from the source."""
        return isinstance(self.method, Alignment)

    def predictions(self, batch: DomainBatch, source_network: nn.Module | None = None) -> tuple[Prediction, Prediction]:
        """Return the predictions for both sides, as the method may see them.

        Args:
            batch: source and target.
            source_network: another network for the source only.
        """
        source, target, _ = self._predictions(batch, source_network)
        return source, target

    def _predictions(
        self, batch: DomainBatch, source_network: nn.Module | None = None
    ) -> tuple[Prediction, Prediction, Prediction | None]:
        """Return the predictions for source, target and shots; the target's prediction includes its views."""
        source, target, shots = batch.source, batch.target, batch.shots
        ours = {} if source is None else {"source": source.inputs}
        theirs = {} if target is None else with_views("target", target)
        theirs |= {} if shots is None else {"shots": shots.inputs}
        apart = self.batch_statistics != "joint" or source_network not in (None, self.network)
        if apart:
            with self.passing(source_network or self.network):
                said = through(source_network or self.network, ours)
            with self.passing(self.network):
                said |= through(self.network, theirs)
        else:
            with self.passing(self.network):
                said = through(self.network, ours | theirs)
        return (
            self._completed(said, "source", source, Sees.SOURCE_LABELS),
            self._completed(said, "target", target, Sees.TARGET_LABELS),
            None if shots is None else self._joined_prediction(said["shots"], shots, gather=self.gather),
        )

    @cached_property
    def _nothing(self) -> Prediction:
        """A placeholder for the side that a method does not see; reading any part of it raises an error."""
        empty = torch.empty(0)
        why = f"{self.method_name} does not declare that it sees these inputs"
        names = ("features", "logits", "labels", "indices", "domains", "views", "inputs")
        return withheld(Prediction(features=empty, logits=empty), *names, why=why)

    def _completed(
        self, said: Mapping[str, Prediction], side: str, examples: Examples | None, labels: Sees
    ) -> Prediction:
        """Return the joined prediction of a side with its examples' data, and labels as the method declares."""
        if examples is None:
            return self._nothing
        found = self._with_views(said, side, examples, gather=self.gather)
        if isinstance(head := self.network.head, ValueHead):
            values = None if found.labels is None else head.standardized(found.labels)
            found = replace(found, logits=head.standardized(found.logits), labels=values)
        return self._shown(found, labels)

    def validation_step(self, batch: Examples, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Take in source validation data (loader 0) or unlabelled target training inputs (loader 1)."""
        network = self.answering_network()
        prediction: Prediction = network(batch.inputs, side="source" if dataloader_idx == 0 else "target")
        if dataloader_idx == 0:
            self.source_scores.update(prediction.logits, self.labels_of(batch))
            self._source_outputs.append(replace(prediction, labels=batch.labels))
        else:
            self._target_outputs.append(prediction)

    def on_validation_epoch_end(self) -> None:
        """Log source accuracy and the label-free scores of the target."""
        if not self._source_outputs:
            return
        self.log_scores("validation/source_", self.source_scores)
        self._log_scores(self._collected(self._source_outputs))
        self._source_outputs.clear()


def _num_outputs(num_classes: int | None, num_values: int | None) -> int:
    """Return C or T, of which one is given."""
    if (num_classes is None) == (num_values is None):
        raise InputError(
            f"num_classes={num_classes} and num_values={num_values}; give num_classes, or num_values for a regression"
        )
    given = {"num_classes": num_classes} if num_values is None else {"num_values": num_values}
    check_counts(**{name: count for name, count in given.items() if count is not None})
    return num_classes or num_values or 0


def _cross_entropy(prediction: Prediction, *, reduction: str = "mean") -> Tensor:
    assert prediction.labels is not None
    return F.cross_entropy(prediction.logits, prediction.labels, reduction=reduction)


class DomainAdaptation(DomainModule):
    """Domain adaptation: minimize a statistic of source and target.

    >>> import tlzoo
    >>> module = tlzoo.DomainAdaptation("lenet", "dan", num_classes=10)
    >>> module.method_name
    'adaptation/dan'
    """

    families = ("adaptation",)


class DomainConfusion(DomainModule):
    """Domain confusion: fool a network that distinguishes the domains.

    >>> import tlzoo
    >>> module = tlzoo.DomainConfusion("lenet", "cdan", num_classes=10, method_settings={"entropy": True})
    >>> module.method_name
    'confusion/cdan'
    """

    families = ("confusion",)
