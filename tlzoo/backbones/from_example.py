"""Settings of a backbone that follow from the items that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from tlzoo.backbones.factory import WIDTHS, create_backbone
from tlzoo.backbones.names import EXTENSIONS, loaded
from tlzoo.errors import InputError

__all__ = ["dry_run", "settings_from"]


def settings_from(name: str, example: Any, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings of a backbone, with those that follow from a few raw items filled in.

    Of ``identity``, ``mlp`` and ``temporal`` these are the width of the items. Of a network of your own it is the width
    of its features, found by a dry run unless it declares ``num_features``. Random numbers are left as they were.

    Args:
        name: of the backbone.
        example: a few raw items.
        settings: those that are given; they stay as they are.
    """
    given = dict(settings or {})
    if (width := WIDTHS.get(name.casefold())) is not None:
        return {width: int(example.shape[-1]), **given}
    if EXTENSIONS.is_built_in(name) or EXTENSIONS.get(name) is None:
        return given
    made = loaded(name)
    if "num_features" in given or isinstance(getattr(made, "num_features", None), int):
        return given
    if "num_features" in inspect.signature(made).parameters:
        return given
    with torch.random.fork_rng(devices=[]):
        network = create_backbone(name, example=example, **given)
    pools = {"pool_maps": True} if getattr(network, "pool_maps", False) else {}
    return {"num_features": network.num_features, **pools, **given}


def dry_run(name: str, example: Any, settings: Mapping[str, Any] | None = None) -> int:
    """Run a backbone on a few raw items, and return the width of its features.

    Raises:
        ValueError: it cannot take them, or gives something else than features; the message has its own error.
    """
    from tlzoo.backbones.evaluation import evaluation

    with torch.random.fork_rng(devices=[]):
        try:
            backbone = create_backbone(name, **settings_from(name, example, settings))
            with evaluation(backbone):
                features = backbone(backbone.preprocess(example))
        except Exception as error:  # of a network that is not ours: whatever goes wrong is its answer
            raise InputError(f"{name}: {type(error).__name__}: {error}") from error
    count = len(example)
    if tuple(features.shape) != (count, backbone.num_features):
        raise InputError(
            f"{name} maps {count} items to {tuple(features.shape)}; expected ({count}, {backbone.num_features})"
        )
    return int(features.shape[1])
