"""Domain adaptation and domain confusion: labelled source, unlabelled target, one loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from tlzoo.lit.alternation import alternate
from tlzoo.lit.module import as_backbone, as_method, objects
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.target import TargetModule
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.base import Alignment, Method
from tlzoo.nn.network import Network
from tlzoo.types import DomainBatch, Examples, Prediction, Sees, withheld

__all__ = ["DomainAdaptation", "DomainConfusion", "DomainModule"]


class DomainModule(TargetModule):
    """Base of the two: the supervised loss of the source plus the term of an :class:`~tlzoo.methods.base.Alignment`.

    ``validation/*`` holds the accuracy on source validation data and the label-free scores of
    :mod:`tlzoo.selection` on unlabelled target inputs; ``test/*`` the accuracy on target test data.

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, or a method.
        num_classes: C.
        bottleneck: width of a linear, batch norm, ReLU layer between backbone and head; None for none.
        batch_statistics: whether source and target pass through the network together (``"joint"``: batch norm sees
            both) or one after the other (``"per_domain"``).
        gather: under several processes, compute losses of the joined batch of all; off, each process has its own.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: for a backbone given by name.
        method_settings: for a method given by name.
    """

    families: ClassVar[tuple[str, ...]] = ("adaptation", "confusion")
    method: Alignment | Alternating

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        num_classes: int,
        bottleneck: int | None = None,
        batch_statistics: Literal["joint", "per_domain"] = "joint",
        gather: bool = True,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        backbone = as_backbone(backbone, backbone_settings)
        width = backbone.num_features if bottleneck is None else bottleneck
        shape = {"num_features": width, "num_classes": num_classes}
        method = as_method(method, self.families, method_settings, **shape)
        if not isinstance(method, (Alignment, Alternating)):
            raise TypeError(f"{type(method).__name__} is no alignment; {type(self).__name__} takes an Alignment")
        head = method.make_head()
        self._assemble(Network(backbone, num_classes, bottleneck=bottleneck, head=head), method, num_classes)
        self.batch_statistics, self.gather = batch_statistics, gather
        self.automatic_optimization = isinstance(method, Alignment)
        if isinstance(method, Alternating):
            method.prepare(self.network)
        self.source_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self._source_outputs: list[Prediction] = []

    def training_step(self, batch: DomainBatch, batch_idx: int) -> Tensor:
        """Return the supervised loss of the source plus the term of the method."""
        if isinstance(self.method, Alternating):
            return alternate(self, self.method, batch)
        source, target = self.predictions(batch)
        terms = dict(self.method(source, target, progress=self.progress, model=self.network))
        if Sees.SOURCE_LABELS in self.method.sees:
            terms["source"] = self._supervised(source)
            terms["loss"] = terms["loss"] + terms["source"]
        self.log_terms(terms, batch.size)
        return self.check_loss(terms["loss"], terms)

    def _supervised(self, source: Prediction) -> Tensor:
        assert source.labels is not None
        assert isinstance(self.method, Alignment)
        weights = self.method.source_weights(source)
        if weights is None:
            return F.cross_entropy(source.logits, source.labels)
        return (weights * F.cross_entropy(source.logits, source.labels, reduction="none")).mean()

    def predictions(self, batch: DomainBatch, source_network: nn.Module | None = None) -> tuple[Prediction, Prediction]:
        """Return what the network says of both sides, as the method may see them.

        Args:
            batch: source and target.
            source_network: another network that the source passes through, alone.
        """
        source, target = batch.source, batch.target
        apart = self.batch_statistics != "joint" or source_network not in (None, self.network)
        if source is not None and target is not None and not apart:
            joint = self.network(_together(source.inputs, target.inputs))
            n = source.size
            ours = Prediction(features=joint.features[:n], logits=joint.logits[:n])
            theirs = Prediction(features=joint.features[n:], logits=joint.logits[n:])
        else:
            ours = self._nothing if source is None else (source_network or self.network)(source.inputs)
            theirs = self._nothing if target is None else self.network(target.inputs)
        return self._completed(ours, source, Sees.SOURCE_LABELS), self._completed(theirs, target, Sees.TARGET_LABELS)

    @cached_property
    def _nothing(self) -> Prediction:
        """What stands for the side that a method does not see: nothing of it can be read."""
        empty = torch.empty(0)
        why = f"{self.method_name} does not declare that it sees these inputs"
        return withheld(Prediction(features=empty, logits=empty), "features", "logits", "labels", "indices", why=why)

    def _completed(self, prediction: Prediction, examples: Examples | None, labels: Sees) -> Prediction:
        """Return the prediction with what is known of its examples, joined, labels as the method declares."""
        if examples is None:
            return prediction
        full = self._joined_prediction(prediction, examples, gather=self.gather)
        return self._shown(full, labels)

    def validation_step(self, batch: Examples, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Take in source validation data (loader 0) or unlabelled target training inputs (loader 1)."""
        prediction: Prediction = self.network(batch.inputs)
        if dataloader_idx == 0:
            assert batch.labels is not None
            self.source_accuracy.update(prediction.logits, batch.labels)
            self._source_outputs.append(replace(prediction, labels=batch.labels))
        else:
            self._target_outputs.append(prediction)

    def on_validation_epoch_end(self) -> None:
        """Log source accuracy and the label-free scores of the target."""
        if not self._source_outputs:
            return
        self.log("validation/source_accuracy", self.source_accuracy.compute(), sync_dist=True)
        self.source_accuracy.reset()
        self._log_scores(self._collected(self._source_outputs))
        self._source_outputs.clear()


def _together(source: Any, target: Any) -> Any:
    """Return the raw inputs of both sides as one batch: tensors (B, ...), or lists of texts."""
    if not isinstance(source, Tensor):
        return [*source, *target]
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"source and target inputs differ in shape: {tuple(source.shape[1:])} and {tuple(target.shape[1:])}; "
            'resize them, or use batch_statistics="per_domain"'
        )
    return torch.cat([source, target])


class DomainAdaptation(DomainModule):
    """Domain adaptation: a statistic of source and target is made small.

    >>> import tlzoo
    >>> module = tlzoo.DomainAdaptation("lenet", "dan", num_classes=10)
    >>> module.method_name
    'adaptation/dan'
    """

    families = ("adaptation",)


class DomainConfusion(DomainModule):
    """Domain confusion: a network tells domains apart, and is fooled.

    >>> import tlzoo
    >>> module = tlzoo.DomainConfusion("lenet", "cdan", num_classes=10, method_settings={"entropy": True})
    >>> module.method_name
    'confusion/cdan'
    """

    families = ("confusion",)
