"""The network of a cell, with the settings that follow from its data."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.backbones.from_example import settings_from
from tlzoo.backbones.published_weights import CLASSIFIERS, published_classifier
from tlzoo.backbones.timm_network import pretrained_classifier
from tlzoo.bench.cell import Cell
from tlzoo.bench.tuning import plain
from tlzoo.data.tasks import Task
from tlzoo.errors import InputError
from tlzoo.nn import Network
from tlzoo.types import Backbone

__all__ = [
    "frozen_backbone",
    "has_pretrained_head",
    "load_pretrained_head",
    "network_name",
    "network_settings",
]


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


def has_pretrained_head(cell: Cell) -> bool:
    """Return whether a cell answers with the classifier that its backbone was published with."""
    return bool(cell.module.get("pretrained_head", False))


def load_pretrained_head(cell: Cell, network: Network) -> None:
    """Give a network the classifier that its backbone was published with; its classes are those of the task in order.

    Raises:
        ValueError: the backbone was published without a classifier, or with one of another shape.
    """
    family, _, name = network_name(cell).partition(":")
    path = plain(cell.module.get("backbone_settings", {})).get("checkpoint_path")
    if family == "timm":
        weight, bias = pretrained_classifier(name, checkpoint_path=path)
    elif family in CLASSIFIERS and path is not None:
        weight, bias = published_classifier(family, path)
    else:
        raise InputError(
            f"pretrained_head takes the classifier of a network of timm, or that in the checkpoint_path of "
            f"{', '.join(CLASSIFIERS)}; {network_name(cell)} has none"
        )
    head = network.head
    if not isinstance(head, nn.Linear) or head.weight.shape != weight.shape:
        wanted = f"{head.out_features} x {head.in_features}" if isinstance(head, nn.Linear) else type(head).__name__
        raise InputError(
            f"the classifier of {network_name(cell)} is {weight.shape[0]} x {weight.shape[1]} (classes x features), "
            f"and that of the cell {wanted}; expected the classes that it was trained on, and no bottleneck"
        )
    head.load_state_dict({"weight": weight, "bias": bias})
