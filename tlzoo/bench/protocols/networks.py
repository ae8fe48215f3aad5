"""The network of a cell, with the settings that follow from its data."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from tlzoo.backbones import create_backbone
from tlzoo.backbones.from_example import settings_from
from tlzoo.bench.cell import Cell
from tlzoo.bench.tuning import plain
from tlzoo.data.tasks import Task
from tlzoo.types import Backbone

__all__ = ["frozen_backbone", "network_name", "network_settings"]


def network_name(cell: Cell) -> str:
    """Return the backbone of a cell; features need none."""
    return cell.backbone or "identity"


def network_settings(cell: Cell, task: Task) -> dict[str, Any]:
    """Return the settings of a cell's backbone, with those filled in that the items of its task tell."""
    return settings_from(network_name(cell), task.example(), plain(cell.module.get("backbone_settings", {})))


_WITH_WEIGHTS = ("efficientnet_lite", "sentence:", "clip:")
"""How the names of backbones begin that bring weights: they are the same for all seeds, and made once a process."""


def frozen_backbone(cell: Cell) -> Backbone | str | None:
    """Return the backbone whose features are taken: by name, or made with the settings that the cell gives."""
    settings = plain(cell.module.get("backbone_settings", {}))
    if cell.backbone and cell.backbone.startswith(_WITH_WEIGHTS):
        return _made_once(cell.backbone, json.dumps(settings, sort_keys=True))
    return create_backbone(str(cell.backbone), **settings) if settings and cell.backbone else cell.backbone


@lru_cache(maxsize=2)
def _made_once(name: str, settings: str) -> Backbone:
    return create_backbone(name, **json.loads(settings))
