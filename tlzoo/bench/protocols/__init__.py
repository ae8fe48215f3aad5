"""The protocol of each kind of cell, which runs it with the Lightning modules and returns its outcome.

Every protocol fills in :mod:`~tlzoo.bench.protocols.skeleton`. This module is light to import: planning uses
:func:`allowed` and ``REVISIONS`` without loading torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tlzoo.bench.cell import Cell, OnProgress, Outcome
from tlzoo.bench.development import development
from tlzoo.bench.protocols.settings import ALLOWED, METHODS_IN, NOT_OF, REVISIONS, SEARCH

__all__ = ["METHODS_IN", "NOT_OF", "REVISIONS", "SEARCH", "allowed", "prepare", "protocol_of", "run"]

_PROTOCOLS = {
    "domain": "domain:DomainProtocol",
    "multitask": "multitask:MultitaskProtocol",
    "episode": "episode:EpisodeProtocol",
    "zeroshot": "zeroshot:ZeroShotProtocol",
    "finetuning": "finetuning:FineTuningProtocol",
}
_OF_METHODS = {
    "TestTime": "test_time:TestTimeProtocol",
    "SourceFree": "source_free:SourceFreeProtocol",
    "ImageTextClassifier": "image_text:ImageTextProtocol",
    "FeatureMethod": "feature_transforms:TransformProtocol",
}
"""Base class of a method -> the protocol that replaces the usual one of domain or episode cells."""

_INPUTS = (
    *("descriptions", "templates", "wordings", "random_descriptions"),
    *("backbone_settings", "training", "texts", "join"),
)


def allowed(kind: str) -> dict[str, tuple[str, ...]]:
    """Return what a suite may set for a kind of cell, under ``module`` and ``budget``."""
    return ALLOWED[kind]


def run(cell: Cell, on_progress: OnProgress) -> Outcome:
    """Run one cell.

    Raises:
        SupervisionError: the method used data that it does not declare, or its predictions depend on the test batch
            without a declaration.
    """
    outcome: Outcome = protocol_of(cell)(cell, on_progress).run()
    return outcome


def prepare(cells: Sequence[Cell]) -> None:
    """Fetch data and extract the frozen features that cells share, once, before workers start."""
    from tlzoo.data import load_task

    seen = set()
    for cell in cells:
        inputs = str([cell.module.get(name) for name in _INPUTS])
        key = (cell.kind, cell.task, cell.task_checksum, cell.root, cell.backbone, inputs, bool(cell.candidates))
        if key not in seen:
            seen.add(key)
            for task in (cell.given_task, *([elsewhere] if (elsewhere := development(cell).task) != cell.task else [])):
                protocol_of(cell).load(replace(cell, seed=0), load_task(task, root=cell.root))


def protocol_of(cell: Cell) -> Any:
    """Return the class of a cell's protocol."""
    from tlzoo.registry import method_class

    name = _PROTOCOLS[cell.kind]
    if cell.kind in ("domain", "episode"):
        bases = [base.__name__ for base in method_class(cell.method).__mro__]
        name = next((own for base, own in _OF_METHODS.items() if base in bases), name)
    module, _, protocol = name.partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), protocol)
