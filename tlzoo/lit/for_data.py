"""Modules that one call makes for a data module, with widths, classes and targets from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.backbones.from_example import settings_from
from tlzoo.errors import InputError
from tlzoo.lit.predicting import DataFacts
from tlzoo.types import Backbone

if TYPE_CHECKING:
    from tlzoo.lit.data.base import TaskData
    from tlzoo.methods.base import Method

__all__ = ["OnBackbone"]


class OnBackbone:
    """Mixin of modules with a backbone and a method."""

    facts: DataFacts | None

    @classmethod
    def settings_from_data(cls, data: Any) -> dict[str, Any]:
        """Return the constructor arguments that follow from a data module."""
        raise NotImplementedError

    @classmethod
    def for_data(
        cls, data: TaskData[Any], method: str | Method, *, backbone: str | nn.Module | None = None, **settings: Any
    ) -> Self:
        """Return a module that fits a data module, with arguments filled in from the data.

        Args:
            data: a data module of the kind that this module trains on.
            method: a name of the registry, or a method.
            backbone: a name for :func:`tlzoo.create_backbone`, a backbone, or any module; a dry run finds the width of
                a module that does not declare it. None if batches contain features, frozen or from the data.
            **settings: further arguments of the constructor; they override those from the data.

        Raises:
            ValueError: there is no backbone although batches contain raw inputs.
        """
        make: Any = cls
        named, shape = _backbone_of(data, backbone, dict(settings.pop("backbone_settings", None) or {}))
        module: Self = make(named, method, **{**cls.settings_from_data(data), "backbone_settings": shape, **settings})
        module.facts = DataFacts.of(data)
        return module


def _backbone_of(
    data: TaskData[Any], backbone: str | nn.Module | None, settings: dict[str, Any]
) -> tuple[str | nn.Module, dict[str, Any] | None]:
    """Return the backbone and its settings for the contents of batches."""
    examples = next(iter(data.task.sets().values()))
    if backbone is None:
        if examples.modality != "features":
            raise InputError(
                f"{data.task.name} has {examples.modality} items; give backbone=NAME for a network to train, or "
                f"features=NAME to {type(data).__name__} for features of a frozen one"
            )
        return "identity", {"num_features": data.num_features, **settings}
    if isinstance(backbone, Backbone):
        return backbone, settings or None
    example = examples.batch(np.arange(min(2, len(examples)))).inputs
    if isinstance(backbone, nn.Module):
        return create_backbone(backbone, example=example, **settings), None
    return backbone, settings_from(backbone, example, settings)  # by name, so that a checkpoint can restore it
