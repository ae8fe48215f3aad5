"""The settings that a suite may give for each kind of cell. Light to import, because planning loads no torch."""

from __future__ import annotations

from typing import Any

from tlzoo.bench.cell import Cell

__all__ = ["ALLOWED", "CHECKPOINTS", "EPOCHS", "METHODS_IN", "NOT_OF", "REVISIONS", "SEARCH", "optimizer_settings"]

EPOCHS = 10
"""Epochs of a run, for what methods do once an epoch."""

CHECKPOINTS = 5
"""Points of a run at which it is measured, and among which selection chooses: the end of every second epoch."""

REVISIONS = {"domain": 4, "multitask": 4, "episode": 5, "zeroshot": 4, "finetuning": 4}
"""Kind -> revision of its protocol, raised when numbers change."""

_OPTIMIZER = ("name", "lr", "backbone_lr", "momentum", "nesterov", "weight_decay", "schedule")
_TRAINING = ("steps", "batch_size")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "domain": {
        "module": (
            *("frozen", "transform", "transform_settings", "scale", "bottleneck", "batch_statistics"),
            *("backbone_settings", "augment", "pretrained_head"),
            *("adaptation_lr", "classifier", "penalty", "shots"),
            *_OPTIMIZER,
        ),
        "budget": (*_TRAINING, "source_steps", "stream_batch"),
    },
    "multitask": {
        "module": (
            "frozen",
            "hidden",
            "backbone_settings",
            "sharing",
            "sharing_settings",
            "decoder",
            "space",
            "monitor",
            *_OPTIMIZER,
        ),
        "budget": _TRAINING,
    },
    "episode": {
        "module": (
            *("backbone_settings", "training", "train_way", "train_shot", "train_query", "quarter_turns", "augment"),
            *("texts", "join", "templates"),
            *_OPTIMIZER,
        ),
        "budget": (
            *_TRAINING,
            *("backbone_steps", "backbone_batch_size", "way", "shot", "query", "dirichlet", "episodes", "new"),
        ),
    },
    "zeroshot": {
        "module": ("descriptions", "templates", "wordings", "random_descriptions", "backbone_settings", *_OPTIMIZER),
        "budget": _TRAINING,
    },
    "finetuning": {
        "module": ("shots", "validation_shots", "elsewhere", "backbone_settings", *_OPTIMIZER),
        "budget": (*_TRAINING, "pretraining_steps"),
    },
}
"""Kind -> the settings allowed under ``module`` and ``budget``."""

SEARCH: dict[str, dict[str, tuple[str, ...]]] = {
    "domain": {
        "rules": ("information", "entropy", "snd", "source"),
        "module": (
            *("transform", "bottleneck", "lr", "backbone_lr", "momentum", "weight_decay", "penalty"),
            "adaptation_lr",
        ),
    },
    "multitask": {"rules": ("validation",), "module": ("lr", "backbone_lr", "weight_decay")},
    "episode": {"rules": ("validation",), "module": ("lr", "backbone_lr", "momentum", "weight_decay")},
    "zeroshot": {
        "rules": ("rehearsal",),
        "module": ("templates", "wordings", "lr", "momentum", "weight_decay"),
    },
    "finetuning": {"rules": ("validation",), "module": ("lr", "backbone_lr", "momentum", "weight_decay")},
}
"""Kind -> the rules that may select settings, the default first, and the module's settings that may be tuned.

No rule reads a test label. Fine-tuning on a few shots has no rule, because nothing is left to validate on.
"""

METHODS_IN: dict[str, dict[str, dict[str, list[str]]]] = {
    "domain": {"transform": {"kinds": ["FeatureTransform"], "before": ["Alignment", "Alternating"]}}
}
"""Kind -> settings of its module that name a method, whose revision a result depends on, too.

Each with the ``kinds`` of methods that it may name, and those that it may stand ``before``, as names of base classes.
"""


_TRAINED = ("penalty", "adaptation_lr")
NOT_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "domain": {
        "Alignment": _TRAINED,
        "Alternating": _TRAINED,
        "SourceFree": ("penalty",),
        "TestTime": ("penalty", "adaptation_lr", "bottleneck", *_OPTIMIZER),
        "FeatureTransform": ("bottleneck", "adaptation_lr", *_OPTIMIZER),
        "LinearClassifier": ("penalty",),
    },
}
"""Kind -> base class of methods -> settings of the module that make no difference to them and are not tuned."""


def optimizer_settings(cell: Cell) -> dict[str, Any]:
    """Return the optimizer's settings among the module's."""
    return {name: value for name, value in cell.module.items() if name in _OPTIMIZER}
