"""The base of the six modules: backbone, method, optimizer, progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tlzoo.backbones import create_backbone
from tlzoo.extensions import is_import_path
from tlzoo.functional import gather_with_gradient
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.methods.base import Method
from tlzoo.registry import METHODS, accepted_settings, create_method, family_of, method_class, resolve_name
from tlzoo.scoring import MultitaskScores, Scores
from tlzoo.types import Backbone

__all__ = ["TransferModule"]


class TransferModule(pl.LightningModule):
    """Base of the modules; a subclass says what its network is and what a training step does.

    Everything learned or random (network, method, weights of tasks) is in the checkpoint. A module that was built from
    names is restored by ``load_from_checkpoint(path)`` alone; one built from objects needs the same objects again:
    ``load_from_checkpoint(path, backbone=..., method=...)``.
    """

    families: ClassVar[tuple[str, ...]]
    takes: ClassVar[tuple[type[Method], ...]]
    method: Method

    @property
    def takes_shots(self) -> bool:
        """Whether it learns from labelled target examples beside the source, as semi-supervised tasks have them."""
        return False

    def __init__(self, optimizer: OptimizerSettings | Mapping[str, Any] | None) -> None:
        super().__init__()
        self.optimizer_settings = OptimizerSettings.of(optimizer)
        self._total_steps: float | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the name of the running hook straight away.

        Lightning notes it some forty times a step, and torch's search for what kind of attribute it is would cost more
        than everything else that the module adds to a step.
        """
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def method_name(self) -> str:
        """Full registry name of the method, or its class name where it is the user's own."""
        return self.method.name

    @property
    def learns(self) -> bool:
        """Whether ``trainer.fit`` has anything to do; if not, the module answers as it is."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def pretrained(self) -> nn.Module:
        """Return the part of the network that trains at the backbone's rate."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return optimizer groups: what was pretrained at its rate, everything else at ``lr``."""
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
            raise ValueError(
                f"{type(self).__name__} has nothing to train: neither the backbone nor {self.method_name} has "
                "trainable parameters; call trainer.test without trainer.fit"
            )
        optimizer = self.optimizer_settings.build(groups)
        schedule = self.optimizer_settings.scheduler(optimizer, self._progress_at)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def progress(self) -> float:
        """Share of training done, in [0, 1]; it survives a resume. 1 outside of training."""
        return self._progress_at(self.global_step) if self._trainer is not None and self.training else 1.0

    def _progress_at(self, step: int) -> float:
        if self._total_steps is None:
            self._total_steps = float(self.trainer.estimated_stepping_batches)
            if self._total_steps == float("inf"):
                raise ValueError(
                    "schedules need to know how long training is; give the Trainer max_steps or max_epochs"
                )
        return min(step / self._total_steps, 1.0)

    def on_fit_start(self) -> None:
        """Forget the length of an earlier training."""
        self._total_steps = None

    @property
    def distributed(self) -> bool:
        """Whether several processes train together."""
        return self._trainer is not None and self.trainer.world_size > 1

    def joined(self, rows: Tensor) -> Tensor:
        """Return the rows (B, ...) of all processes as one batch, with gradient.

        A loss of joined rows is the loss of the whole batch on every process; under DDP's averaging its gradient is
        that of one process with the whole batch, whatever the share of each.
        """
        return gather_with_gradient(rows) if self.distributed else rows

    def check_loss(self, loss: Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the loss after checking that it is finite.

        On an accelerator the check would stall the queue, so it runs there at logging steps only.

        Raises:
            FloatingPointError: NaN or Inf; the terms are named with their values.
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
        """Whether terms are logged while ``step`` steps have been counted; without a trainer they never are."""
        every = 0 if self._trainer is None else self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool(every) and (step + 1) % every == 0

    def log_terms(self, terms: Mapping[str, Tensor], batch_size: int) -> None:
        """Log the terms of a loss under ``train/``, at the trainer's logging steps only: logging costs time."""
        if self._logs_now:
            self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=batch_size)

    def log_scores(self, prefix: str, scores: Scores | MultitaskScores) -> None:
        """Log all figures at the end of an epoch, their names after a prefix such as ``test/``, and begin anew."""
        # equal on all processes, whose counts are joined; Lightning wants it said
        self.log_dict({f"{prefix}{name}": value for name, value in scores.compute().items()}, sync_dist=True)
        scores.reset()


def objects(**arguments: Any) -> list[str]:
    """Return the names of arguments that are modules: no hyper-parameters, a checkpoint has their weights."""
    return [name for name, value in arguments.items() if isinstance(value, nn.Module)]


def as_backbone(backbone: str | nn.Module, settings: Mapping[str, Any] | None) -> Backbone:
    """Return the backbone given by name and settings, or as a module."""
    if isinstance(backbone, Backbone):
        return backbone
    return create_backbone(backbone, **dict(settings or {}))


def as_method(
    method: str | Method, module: type[TransferModule], settings: Mapping[str, Any] | None, **shape: Any
) -> Any:
    """Return the method given by name and settings, or as an object.

    A bare name is looked for in the module's own families first. Of ``shape`` the method gets what it asks for.

    Raises:
        ValueError: the method of this name is for another module; the message says for which.
        TypeError: the same of an object.
    """
    if isinstance(method, Method):
        if not isinstance(method, module.takes):
            raise TypeError(_misplaced(type(method), method.name, module))
        return method
    full = "+".join(_in_families(part.strip(), module.families) for part in method.split("+"))
    cls = method_class(full)
    families = set(module.families) if is_import_path(full) else {family_of(part) for part in full.split("+")}
    if not issubclass(cls, module.takes) or not families & set(module.families):
        raise ValueError(_misplaced(cls, full, module))
    return create_method(full, **accepted_settings(full, **shape) | dict(settings or {}))


def _misplaced(cls: type[Method], name: str, module: type[TransferModule]) -> str:
    return f"{name} is a method for {taker_of(cls, name)}, not for {module.__name__}"


_TAKERS = {
    "FeatureTransform": "DomainData(transform=...)",
    "SourceFree": "SourceFreeAdaptation",
    "TestTime": "TestTimeAdaptation",
    "DomainMethod": "DomainAdaptation",
    "EpisodeClassifier": "OneShot",
    "MetaLearner": "OneShot",
    "Weighting": "Multitask",
    "Compatibility": "ZeroShot",
    "TextCompatibility": "ZeroShot",
    "Strategy": "FineTuning",
}
"""Kind of method -> what takes it, the special kinds first."""


def taker_of(cls: type[Method], name: str) -> str:
    """Return what takes a method: the module of its kind."""
    bases = {base.__name__ for base in cls.__mro__}
    taker = next((taker for base, taker in _TAKERS.items() if base in bases), "no module")
    return "DomainConfusion" if taker == "DomainAdaptation" and name.startswith("confusion/") else taker


def _in_families(name: str, families: tuple[str, ...]) -> str:
    """Return the full name of a method that may be bare: looked for in ``families`` first."""
    own = [f"{family}/{name}" for family in families if f"{family}/{name}" in METHODS]
    return resolve_name(own[0] if own else name)
