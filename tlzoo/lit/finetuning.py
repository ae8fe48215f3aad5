"""Fine-tuning of a pretrained network: the baseline of all transfer learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.lit.arguments import as_backbone, as_method, objects
from tlzoo.lit.classifier import Classifier
from tlzoo.lit.for_data import OnBackbone
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.methods.base import Method
from tlzoo.methods.strategy import Strategy
from tlzoo.nn.network import Network
from tlzoo.scoring import ClassScores
from tlzoo.types import DomainBatch, Examples, Prediction

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData

__all__ = ["FineTuning"]


class FineTuning(OnBackbone, Classifier):
    """A pretrained backbone, a new linear head, and a :class:`~tlzoo.methods.strategy.Strategy` to train them.

    Layers that do not train keep their pretrained normalization statistics.

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, or a strategy.
        num_classes: C.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: settings of a backbone given by name.
        method_settings: settings of a method given by name.
    """

    families: ClassVar[tuple[str, ...]] = ("finetuning",)
    takes = (Strategy,)
    method: Strategy

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        num_classes: int,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        check_counts(num_classes=num_classes)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        self.method = as_method(method, type(self), method_settings)
        self.network = Network(self.method.prepare(as_backbone(backbone, backbone_settings)), num_classes)
        self.num_classes, self.validation_scores = num_classes, ClassScores(num_classes)

    @classmethod
    def settings_from_data(cls, data: TaskData[Any]) -> dict[str, Any]:
        """Return the number of classes."""
        return {"num_classes": data.num_classes}

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.network.backbone

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the strategy's groups of the backbone, and the head's."""
        lr = self.optimizer_settings.lr
        backbone = self.method.parameter_groups(self.network.backbone, lr=lr * self.optimizer_settings.backbone_lr)
        return [*backbone, {"params": list(self.network.head.parameters()), "lr": lr}]

    def train(self, mode: bool = True) -> FineTuning:
        """Set training mode, except for modules with only frozen parameters, which stay in evaluation mode."""
        super().train(mode)
        for module in self.network.backbone.modules() if mode else ():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def setup(self, stage: str) -> None:
        """Refuse a strategy that changes which parameters train, if there are several processes.

        Raises:
            ValueError: it does under DDP, which reads the parameters once, before training.
        """
        super().setup(stage)
        if stage == "fit" and self.distributed and self.method.unfreezes:
            raise self._unfreezing()

    def _unfreezing(self) -> ValueError:
        return InputError(
            f"{self.method_name} changes which parameters train as training goes on, which DDP does not follow; train "
            "it on one device, or use finetuning/layerwise"
        )

    def _trainable(self) -> list[bool]:
        return [parameter.requires_grad for parameter in self.parameters()]

    def on_train_start(self) -> None:
        """Switch frozen layers to evaluation mode; Lightning does not change modes."""
        super().on_train_start()
        self.train()

    def on_train_end(self) -> None:
        """Switch all layers back to training mode; Lightning would warn about the others at the next training."""
        super().on_train_end()
        super().train()

    def forward(self, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to logits (B, C); in evaluation mode with the weights of ``answering``."""
        weights = None if self.training else self.method.answering(self.network.backbone, self.network.head)
        network = self.network if weights is None else partial(functional_call, self.network, dict(weights))
        prediction: Prediction = network(inputs)
        return prediction.logits

    def on_train_batch_start(self, batch: DomainBatch, batch_idx: int) -> None:
        """Let the strategy change which parameters train.

        Raises:
            ValueError: it does with several processes.
        """
        super().on_train_batch_start(batch, batch_idx)
        before = self._trainable() if self.distributed else []
        cls = type(self.method)
        if cls.on_progress is not Strategy.on_progress or cls.on_step is not Strategy.on_step:
            optimizer: Any = self.optimizers(use_pl_optimizer=False)
            self.method.on_step(self.network.backbone, self.network.head, self.progress, optimizer=optimizer)
            self.train()
        if self.distributed and self._trainable() != before:
            raise self._unfreezing()

    def training_step(self, batch: DomainBatch, batch_idx: int) -> Tensor:
        """Return the cross-entropy of the labelled target, plus the strategy's penalty."""
        batch = self.checked(batch)
        assert batch.target is not None
        assert batch.target.labels is not None
        with self.passing(self.network):
            prediction: Prediction = self.network(batch.target.inputs)
        loss = F.cross_entropy(self.joined(prediction.logits), self.joined(batch.target.labels))
        terms = {"loss": loss}
        features = self.joined(prediction.features) if self.method.looks_at_features else None
        penalty = self.method.penalty(self.network.backbone, self.network.head, features=features)
        if penalty is not None:
            terms = {"loss": loss + penalty, "target": loss, "penalty": penalty}
        self.log_terms(terms, len(batch.target.labels))
        return self.check_loss(terms["loss"], terms)

    def validation_step(self, batch: Examples, batch_idx: int) -> None:
        """Score validation data if the user provides some; domain tasks have none for the target."""
        self.validation_scores.update(self(batch.inputs), self.labels_of(batch))

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self.log_scores("validation/", self.validation_scores)
