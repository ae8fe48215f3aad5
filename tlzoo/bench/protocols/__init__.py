"""The protocol of each kind of cell, which runs it with the Lightning modules and returns its outcome.

This module is light to import: planning uses :func:`allowed` and ``REVISIONS`` without loading torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

from tlzoo.bench.cell import Cell, Outcome, Report

__all__ = ["REVISIONS", "SEARCH", "allowed", "prepare", "run"]

REVISIONS = {"domain": 2, "multitask": 2, "episode": 3, "zeroshot": 3, "finetuning": 2}
"""Kind -> revision of its protocol, raised when numbers change."""

_OPTIMIZER = ("name", "lr", "backbone_lr", "momentum", "nesterov", "weight_decay", "schedule")
_TRAINING = ("steps", "batch_size")
_INPUTS = ("descriptions", "templates", "wordings", "backbone_settings", "training")

_ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "domain": {
        "module": (
            *("frozen", "transform", "transform_settings", "scale", "bottleneck", "batch_statistics"),
            *("backbone_settings", "adaptation_lr", "penalty"),
            *_OPTIMIZER,
        ),
        "budget": (*_TRAINING, "source_steps"),
    },
    "multitask": {
        "module": ("frozen", "hidden", "sharing", "sharing_settings", "space", "monitor", *_OPTIMIZER),
        "budget": _TRAINING,
    },
    "episode": {
        "module": ("backbone_settings", "training", "train_way", "train_shot", "train_query", *_OPTIMIZER),
        "budget": (
            *_TRAINING,
            *("backbone_steps", "backbone_batch_size", "way", "shot", "query", "dirichlet", "episodes"),
        ),
    },
    "zeroshot": {
        "module": ("descriptions", "templates", "wordings", *_OPTIMIZER),
        "budget": _TRAINING,
    },
    "finetuning": {
        "module": ("shots", *_OPTIMIZER),
        "budget": (*_TRAINING, "pretraining_steps"),
    },
}

SEARCH: dict[str, dict[str, tuple[str, ...]]] = {
    "domain": {
        "rules": ("information", "entropy", "snd"),
        "module": ("transform", "bottleneck", "lr", "backbone_lr", "momentum", "weight_decay", "penalty"),
    },
    "multitask": {"rules": ("validation",)},
    "episode": {"rules": ("validation",), "module": ("lr", "backbone_lr", "momentum", "weight_decay")},
    "zeroshot": {
        "rules": ("rehearsal",),
        "module": ("templates", "wordings", "lr", "momentum", "weight_decay"),
    },
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


def allowed(kind: str) -> dict[str, tuple[str, ...]]:
    """Return what a suite may set for a kind of cell, under ``module`` and ``budget``."""
    return _ALLOWED[kind]


def run(cell: Cell, report: Report) -> Outcome:
    """Run one cell.

    Raises:
        SupervisionError: the method used data that it does not declare, or its predictions depend on the test batch
            without a declaration.
    """
    outcome: Outcome = importlib.import_module(f"tlzoo.bench.protocols.{cell.kind}").run(cell, report)
    return outcome


def prepare(cells: Sequence[Cell]) -> None:
    """Fetch data and extract the frozen features that cells share, once, before workers start."""
    from tlzoo.data import load_task

    seen = set()
    for cell in cells:
        inputs = str([cell.module.get(name) for name in _INPUTS])
        key = (cell.kind, cell.task, cell.root, cell.backbone, inputs, bool(cell.candidates))
        if key not in seen:
            seen.add(key)
            importlib.import_module(f"tlzoo.bench.protocols.{cell.kind}").load(
                replace(cell, seed=0), load_task(cell.task, root=cell.root)
            )
