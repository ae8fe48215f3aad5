"""Backbones: networks that turn raw items into features, and the cache of what a frozen one says.

>>> from tlzoo.backbones import create_backbone
>>> backbone = create_backbone("lenet")
>>> backbone.num_features
500

Importing this package imports torch alone; timm and sentence-transformers come with the networks that need them.
"""

from tlzoo.backbones.cache import FeatureCache
from tlzoo.backbones.factory import create_backbone, list_backbones
from tlzoo.backbones.fingerprint import fingerprint
from tlzoo.backbones.layer_groups import layerwise_groups

__all__ = ["FeatureCache", "create_backbone", "fingerprint", "layerwise_groups", "list_backbones"]
