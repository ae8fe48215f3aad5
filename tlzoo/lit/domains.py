"""Domain adaptation and domain confusion: labelled source, unlabelled target, one loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from tlzoo.lit.metrics import MeanClassAccuracy
from tlzoo.lit.module import TransferModule, as_backbone, as_method, objects
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.methods.base import Alignment, Method
from tlzoo.nn.network import Network
from tlzoo.selection import scores
from tlzoo.types import DomainBatch, Examples, Prediction, Sees, withheld

__all__ = ["DomainAdaptation", "DomainConfusion", "DomainModule"]


class DomainModule(TransferModule):
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
    method: Alignment

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
        if not isinstance(method, Alignment):
            raise TypeError(f"{type(method).__name__} is no alignment; {type(self).__name__} takes an Alignment")
        self.method = method
        self.network = Network(backbone, num_classes, bottleneck=bottleneck, head=method.make_head())
        self.batch_statistics, self.gather = batch_statistics, gather
        self.test_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.test_balanced_accuracy = MeanClassAccuracy(num_classes)
        self.source_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self._target_outputs: list[Prediction] = []

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.network.backbone

    def forward(self, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to logits (B, C)."""
        prediction: Prediction = self.network(inputs)
        return prediction.logits

    def on_train_epoch_start(self) -> None:
        """Show the whole unlabelled target to a method that wants it."""
        if type(self.method).on_epoch is not Alignment.on_epoch:
            target = self.predict_all(self.trainer.datamodule.target_batches())  # type: ignore[attr-defined]
            self.method.on_epoch(self._shown(target, Sees.TARGET_LABELS))

    @torch.no_grad()
    def predict_all(self, batches: Iterable[Examples]) -> Prediction:
        """Return the predictions, in evaluation mode, of all batches as one, with their indices."""
        was_training = self.network.training
        self.network.eval()
        parts = [(self.network(batch.inputs), batch.indices) for batch in (b.to(self.device) for b in batches)]
        self.network.train(was_training)
        return Prediction(
            features=torch.cat([prediction.features for prediction, _ in parts]),
            logits=torch.cat([prediction.logits for prediction, _ in parts]),
            indices=torch.cat([indices for _, indices in parts if indices is not None]),
        )

    def training_step(self, batch: DomainBatch, batch_idx: int) -> Tensor:
        """Return the supervised loss of the source plus the term of the method."""
        source, target = self._predictions(batch)
        terms = dict(self.method(source, target, progress=self.progress, model=self.network))
        if Sees.SOURCE_LABELS in self.method.sees:
            terms["source"] = self._supervised(source)
            terms["loss"] = terms["loss"] + terms["source"]
        self.log_terms(terms, batch.size)
        return self.check_loss(terms["loss"], terms)

    def _supervised(self, source: Prediction) -> Tensor:
        assert source.labels is not None
        weights = self.method.source_weights(source)
        if weights is None:
            return F.cross_entropy(source.logits, source.labels)
        return (weights * F.cross_entropy(source.logits, source.labels, reduction="none")).mean()

    def _predictions(self, batch: DomainBatch) -> tuple[Prediction, Prediction]:
        source, target = batch.source, batch.target
        if source is not None and target is not None and self.batch_statistics == "joint":
            joint = self.network(_together(source.inputs, target.inputs))
            n = source.size
            ours = Prediction(features=joint.features[:n], logits=joint.logits[:n])
            theirs = Prediction(features=joint.features[n:], logits=joint.logits[n:])
        else:
            ours = self._nothing if source is None else self.network(source.inputs)
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
        join = self.joined if self.gather and self.distributed else _same
        full = Prediction(
            features=join(prediction.features),
            logits=join(prediction.logits),
            labels=None if examples.labels is None else join(examples.labels),
            indices=None if examples.indices is None else join(examples.indices),
            domains=None if examples.domains is None else join(examples.domains),
        )
        return self._shown(full, labels)

    def _shown(self, prediction: Prediction, labels: Sees) -> Prediction:
        """Return the prediction as the method may see it."""
        if labels in self.method.sees:
            return prediction
        return withheld(prediction, "labels", why=f"{self.method_name} does not declare {labels.name}")

    def validation_step(self, batch: Examples, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Take in source validation data (loader 0) or unlabelled target training inputs (loader 1)."""
        prediction: Prediction = self.network(batch.inputs)
        if dataloader_idx == 0:
            assert batch.labels is not None
            self.source_accuracy.update(prediction.logits, batch.labels)
        else:
            self._target_outputs.append(prediction)

    def on_validation_epoch_end(self) -> None:
        """Log source accuracy and the label-free scores of the target."""
        if self.source_accuracy.update_called:
            self.log("validation/source_accuracy", self.source_accuracy.compute(), sync_dist=True)
            self.source_accuracy.reset()
        if self._target_outputs:
            features = self.joined(torch.cat([p.features for p in self._target_outputs]))
            logits = self.joined(torch.cat([p.logits for p in self._target_outputs]))
            values = {f"validation/{name}": value for name, value in scores(features, logits).items()}
            self.log_dict(values, sync_dist=True)  # equal on all processes; Lightning wants it said
            self._target_outputs.clear()

    def test_step(self, batch: Examples, batch_idx: int) -> None:
        """Count the answers on target test data."""
        assert batch.labels is not None
        logits = self(batch.inputs)
        self.test_accuracy.update(logits, batch.labels)
        self.test_balanced_accuracy.update(logits, batch.labels)
        self.log("test/accuracy", self.test_accuracy)
        self.log("test/balanced_accuracy", self.test_balanced_accuracy)

    def predict_step(self, batch: Examples, batch_idx: int) -> Tensor:
        """Return the logits (B, C)."""
        return self(batch.inputs)  # type: ignore[no-any-return]


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


def _same(rows: Tensor) -> Tensor:
    return rows


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
