"""Optimizers and schedules from plain settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_at_least, check_flags, check_positive, check_shares
from tlzoo.spelling import nearest

__all__ = ["OptimizerSettings"]


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Settings of the optimizer and its schedule.

    The defaults are those of the domain adaptation literature (TLlib, and Ganin & Lempitsky before it).

    Attributes:
        name: ``"sgd"``, ``"adam"`` or ``"adamw"``.
        lr: learning rate of heads, bottlenecks and methods.
        backbone_lr: factor of ``lr`` for the backbone.
        momentum: momentum of SGD.
        nesterov: whether SGD uses Nesterov momentum.
        weight_decay: L2 penalty, decoupled in AdamW.
        schedule: ``"inverse"``: lr * (1 + 0.001 step)^-0.75; ``"annealed"``: lr / (1 + 10 progress)^0.75; ``"cosine"``:
            decays to zero over the training; ``"step"``: lr, and half of it from the middle of the training on;
            ``"constant"``.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = 0.01
    backbone_lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-3
    schedule: Literal["inverse", "annealed", "cosine", "step", "constant"] = "inverse"

    def __post_init__(self) -> None:
        if self.name not in _OPTIMIZERS:
            raise InputError(nearest(self.name, _OPTIMIZERS, kind="optimizer"))
        if self.schedule not in _SCHEDULES:
            raise InputError(nearest(self.schedule, _SCHEDULES, kind="schedule"))
        check_positive(lr=self.lr)
        check_at_least(0, backbone_lr=self.backbone_lr, weight_decay=self.weight_decay)
        check_shares(below_one=True, momentum=self.momentum)
        check_flags(nesterov=self.nesterov)

    @classmethod
    def of(cls, settings: Self | Mapping[str, Any] | None) -> Self:
        """Return settings from an object, from a mapping of some of them, or from None for the defaults.

        Raises:
            ValueError: a setting is unknown; the message suggests the nearest ones.
        """
        if isinstance(settings, cls):
            return settings
        given = dict(settings or {})  # type: ignore[arg-type]
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(nearest(name, known, kind="optimizer setting"))
        return cls(**given)

    def build(self, groups: list[dict[str, Any]]) -> Optimizer:
        """Return an optimizer for parameter groups, each with its ``lr``."""
        return _OPTIMIZERS[self.name](self, groups)

    def scheduler(self, optimizer: Optimizer, progress: Callable[[int], float]) -> LambdaLR:
        """Return the schedule, to step once per training step; ``progress`` maps a step to [0, 1]."""
        factor = _SCHEDULES[self.schedule]
        return LambdaLR(optimizer, lambda step: factor(step, progress(step)))


def _foreach(groups: list[dict[str, Any]]) -> bool | None:
    """Return whether to update all parameters at once: on the CPU, where torch does not do so by default.

    The results are the same bit for bit, and a step on a million parameters takes a third of the time.
    """
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    return True if devices == {"cpu"} else None


def _sgd(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    return SGD(
        groups,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov and settings.momentum > 0,
        weight_decay=settings.weight_decay,
        foreach=_foreach(groups),
    )


def _adam(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    return Adam(groups, lr=settings.lr, weight_decay=settings.weight_decay, foreach=_foreach(groups))


def _adamw(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    return AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, foreach=_foreach(groups))


_OPTIMIZERS: dict[str, Callable[[OptimizerSettings, list[dict[str, Any]]], Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}

_SCHEDULES: dict[str, Callable[[int, float], float]] = {
    "inverse": lambda step, _: (1 + 0.001 * step) ** -0.75,
    "annealed": lambda _, progress: (1 + 10 * progress) ** -0.75,
    "cosine": lambda _, progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "step": lambda _, progress: 1.0 if progress < 0.5 else 0.5,
    "constant": lambda _step, _progress: 1.0,
}
