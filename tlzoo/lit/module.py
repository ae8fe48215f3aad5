"""The base of the modules: backbone, method, optimizer, progress."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, ParallelStrategy
from torch import Tensor, nn

from tlzoo.data.tasks import Task
from tlzoo.errors import InputError, InputTypeError
from tlzoo.functional import gather_with_gradient
from tlzoo.lit.answering import Answering
from tlzoo.lit.batch_labels import with_checked_labels
from tlzoo.lit.exporting import export
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.predicting import DataFacts
from tlzoo.lit.saving import save
from tlzoo.methods.base import Method
from tlzoo.nn.network import Network
from tlzoo.nn.preparation import Preparation
from tlzoo.nn.synchronized import synchronized_batch_norm
from tlzoo.registry import create_method
from tlzoo.scoring import MultitaskScores, Scores
from tlzoo.types import DomainBatch, Episode, Examples

__all__ = ["TransferModule"]

B = TypeVar("B", DomainBatch, Examples, Episode)

_TRANSFORM, _FACTS = "tlzoo_feature_transform", "tlzoo_data"


class TransferModule(Answering):
    """Base of the modules; a subclass defines the network and the training step.

    The checkpoint holds everything learned or random (network, method, task weights, random states), so that a resumed
    run ends with the same weights as one that never stopped. ``load_from_checkpoint(path)`` restores a module built
    from names; one built from objects needs the same objects again: ``load_from_checkpoint(path, backbone=...,
    method=...)``.
    """

    families: ClassVar[tuple[str, ...]]
    takes: ClassVar[tuple[type[Method], ...]]
    method: Method

    @property
    def takes_shots(self) -> bool:
        """Whether it learns from labelled target examples in addition to the source (semi-supervised tasks)."""
        return False

    def __init__(self, optimizer: OptimizerSettings | Mapping[str, Any] | None) -> None:
        super().__init__()
        self.optimizer_settings = OptimizerSettings.of(optimizer)
        self._total_steps: float | None = None
        self.facts = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, with a shortcut for the name of the running hook.

        Lightning sets it about forty times per step, and torch's search for the kind of attribute would cost more than
        everything else that the module adds to a step.
        """
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    keeps_preparation: ClassVar[bool] = False
    """Whether its network was trained before, on features that passed the network's own preparation."""

    def prepare_features(self, preparation: Preparation) -> None:
        """Let features pass a preparation before the backbone, in the network and in all copies that the method has.

        Raises:
            ValueError: the module has no network that could hold it.
        """
        if not (networks := self._networks()):
            raise InputError(
                f"{type(self).__name__} has no network that could hold a transform or a scale of features; prepare the "
                "features of the task, or give the module a tlzoo.nn.Network"
            )
        for network in networks:
            network.preparation = preparation

    @property
    def preparation(self) -> Preparation | None:
        """What features pass before the backbone; None where nothing is fitted."""
        fitted = [network.preparation for network in self._networks() if network.preparation.fitted]
        return fitted[0] if fitted else None

    def _networks(self) -> list[Network]:
        return [network for network in self.modules() if isinstance(network, Network)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what the weights do not say: what the transform of the features is, and facts of the data."""
        super().on_save_checkpoint(checkpoint)
        transform = None if self.preparation is None else self.preparation.transform
        if isinstance(transform, Method):
            checkpoint[_TRANSFORM] = {"name": transform.name, "settings": transform.settings}
        if self.facts is not None:
            checkpoint[_FACTS] = asdict(self.facts)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Create the transform of the features, whose weights are loaded later, and restore facts of the data."""
        if (stored := checkpoint.get(_TRANSFORM)) is not None and self.preparation is None:
            preparation = Preparation()
            preparation.fit(create_method(stored["name"], **stored["settings"]), None)
            self.prepare_features(preparation)
        if (facts := checkpoint.get(_FACTS)) is not None:
            self.facts = DataFacts(**{**facts, "class_names": tuple(facts["class_names"])})
        super().on_load_checkpoint(checkpoint)

    def setup(self, stage: str) -> None:
        """Note what new items are held against: class names, and what the network's inputs are features of.

        Raises:
            ValueError: the trainer's strategy shards the parameters, of which losses and weightings need all.
        """
        self._check_strategy()
        data: Any = getattr(self.trainer, "datamodule", None)
        if isinstance(getattr(data, "raw", None), Task):
            self.facts = DataFacts.of(data)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Store the module in a new folder, as JSON and safetensors; :func:`tlzoo.load` restores it by one line.

        Raises:
            FileExistsError: there is something at ``path``.
            ValueError: settings that JSON does not hold.
        """
        return save(self, path)

    def export(self, path: str | os.PathLike[str], example: Any) -> Path:
        """Write a program that answers as ``predict`` does, without tlzoo; see :func:`tlzoo.lit.exporting.export`."""
        return export(self, path, example)

    @classmethod
    def load_from_checkpoint(cls, *arguments: Any, **settings: Any) -> Self:
        """Restore a module from a checkpoint, as Lightning does.

        Raises:
            TypeError: the module was built from objects, which the checkpoint does not hold; pass them again.
        """
        try:
            return super().load_from_checkpoint(*arguments, **settings)
        except TypeError as error:
            missing = [name for name in ("backbone", "network", "method") if f"'{name}'" in str(error)]
            if not missing or "missing" not in str(error):
                raise
            again = ", ".join(f"{name}=..." for name in missing)
            raise InputTypeError(
                f"the checkpoint was written by a {cls.__name__} that was built from objects, and holds their weights "
                f"alone; pass the same objects again: load_from_checkpoint(path, {again})"
            ) from error

    @property
    def label_classes(self) -> int | None:
        """The number of classes of training labels; None if a batch or the method says it."""
        return None

    @property
    def label_values(self) -> int | None:
        """The number of real-numbered targets of a regression; None for classes."""
        return None

    def checked(self, batch: B) -> B:
        """Return a training batch with checked labels; see :func:`tlzoo.lit.batch_labels.with_checked_labels`."""
        return with_checked_labels(
            batch, sees=self.method.sees, num_classes=self.label_classes, num_values=self.label_values
        )

    @property
    def method_name(self) -> str:
        """The full registry name of the method, or the class name of a user's method."""
        return self.method.name

    @property
    def learns(self) -> bool:
        """Whether ``trainer.fit`` has anything to do; if not, the module needs no training."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def pretrained(self) -> nn.Module:
        """Return the part of the network that trains at the backbone's learning rate."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return optimizer groups: the pretrained part at its own rate, everything else at ``lr``."""
        lr = self.optimizer_settings.lr
        pretrained = [p for p in self.pretrained().parameters() if p.requires_grad]
        known = {id(p) for p in self.pretrained().parameters()}
        fresh = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        groups = [
            {"params": pretrained, "lr": lr * self.optimizer_settings.backbone_lr},
            {"params": fresh, "lr": lr},
        ]
        return [group for group in groups if group["params"]]

    def configure_optimizers(self) -> Any:
        """Build optimizer and schedule from :class:`OptimizerSettings`.

        Raises:
            ValueError: nothing is trainable.
        """
        groups = self.parameter_groups()
        if not groups:
            raise InputError(
                f"{type(self).__name__} has nothing to train: neither the backbone nor {self.method_name} has "
                "trainable parameters; call trainer.test without trainer.fit"
            )
        optimizer = self.optimizer_settings.build(groups)
        schedule = self.optimizer_settings.scheduler(optimizer, self._progress_at)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def progress(self) -> float:
        """The share of training done, in [0, 1]; it survives a resume, and is 1 outside of training."""
        return self._progress_at(self.global_step) if self._trainer is not None and self.training else 1.0

    def _progress_at(self, step: int) -> float:
        if step == 0:  # a schedule asks before Lightning has restored the loaders, which it does on their first use
            return 0.0
        if self._total_steps is None:
            self._total_steps = float(self.trainer.estimated_stepping_batches)
            if self._total_steps == float("inf"):
                raise InputError("schedules need the length of the training; give the Trainer max_steps or max_epochs")
        return min(step / self._total_steps, 1.0)

    def on_fit_start(self) -> None:
        """Forget the length of an earlier training, and its random states."""
        self._total_steps, self._random = None, None

    def on_train_start(self) -> None:
        """Determine the length of the training before the first step."""
        super().on_train_start()
        if self.trainer.optimizers:
            self._progress_at(1)

    def _check_strategy(self) -> None:
        strategy = self.trainer.strategy
        replicates = isinstance(strategy, DDPStrategy) and not isinstance(strategy, DeepSpeedStrategy)
        shards = isinstance(strategy, ParallelStrategy) and not replicates
        if shards:
            name = getattr(strategy, "strategy_name", None) or type(strategy).__name__
            raise InputError(
                f"strategy {name!r} shards the parameters, and {type(self).__name__} needs all of them in every "
                'process; give the Trainer strategy="ddp", or one device'
            )

    def passing(self, network: nn.Module) -> AbstractContextManager[None]:
        """Return a context for a pass over this process's part of a batch: batch norm sees all parts, as losses do."""
        return synchronized_batch_norm(network) if self.distributed else nullcontext()

    @property
    def distributed(self) -> bool:
        """Whether several processes train together."""
        return self._trainer is not None and self.trainer.world_size > 1

    def joined(self, rows: Tensor) -> Tensor:
        """Return the rows (B, ...) of all processes as one batch, with gradient.

        A loss on joined rows is the loss on the whole batch in every process. Under DDP's averaging, its gradient
        equals that of one process with the whole batch, whatever the share of each process.
        """
        return gather_with_gradient(rows) if self.distributed else rows

    def check_loss(self, loss: Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the loss after checking that it is finite.

        On an accelerator the check would stall the queue, so it only runs at logging steps there.

        Raises:
            FloatingPointError: the loss is NaN or Inf; the message lists the terms with their values.
        """
        if (loss.device.type == "cpu" or self._logs_now) and not torch.isfinite(loss):
            values = ", ".join(f"{name} {value.item():.4g}" for name, value in terms.items())
            raise FloatingPointError(
                f"{self.method_name}: the loss at step {self.global_step} is {loss.item()} ({values}); "
                "look for NaN or Inf in the inputs, or lower the learning rate"
            )
        return loss

    @property
    def _logs_now(self) -> bool:
        return self.logs_at(self.global_step)

    def logs_at(self, step: int) -> bool:
        """Return whether terms are logged after ``step`` steps; without a trainer they never are."""
        every = 0 if self._trainer is None else self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool(every) and (step + 1) % every == 0

    def log_terms(self, terms: Mapping[str, Tensor], batch_size: int) -> None:
        """Log the terms of a loss under ``train/``, only at the trainer's logging steps, because logging costs time."""
        if self._logs_now:
            self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=batch_size)

    def log_scores(self, prefix: str, scores: Scores | MultitaskScores) -> None:
        """Log all scores at the end of an epoch under a prefix such as ``test/``, and reset them."""
        # equal on all processes, whose counts are joined; Lightning wants it said
        self.log_dict({f"{prefix}{name}": value for name, value in scores.compute().items()}, sync_dist=True)
        scores.reset()
