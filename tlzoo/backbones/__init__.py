"""Backbones: networks that turn raw items into features, and the cache for the features of frozen ones.

>>> from tlzoo.backbones import create_backbone
>>> backbone = create_backbone("lenet")
>>> backbone.num_features
500

Names are light; torch, timm and sentence-transformers come with what needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy

if TYPE_CHECKING:
    from tlzoo.backbones.cache import FeatureCache
    from tlzoo.backbones.factory import create_backbone
    from tlzoo.backbones.layer_groups import layerwise_groups
    from tlzoo.backbones.names import list_backbones, register_backbone
    from tlzoo.backbones.weights_fingerprint import fingerprint

__all__ = [
    "FeatureCache",
    "create_backbone",
    "fingerprint",
    "layerwise_groups",
    "list_backbones",
    "register_backbone",
]

__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        "FeatureCache": "tlzoo.backbones.cache",
        "create_backbone": "tlzoo.backbones.factory",
        "fingerprint": "tlzoo.backbones.weights_fingerprint",
        "layerwise_groups": "tlzoo.backbones.layer_groups",
        "list_backbones": "tlzoo.backbones.names",
        "register_backbone": "tlzoo.backbones.names",
    },
)
