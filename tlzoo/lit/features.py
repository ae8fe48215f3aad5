"""Tasks whose inputs are features of a frozen backbone, run once and cached."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.data.sets import content_hash
from tlzoo.data.tasks import Task, ZeroShotTask
from tlzoo.types import Backbone

__all__ = ["encode_descriptions", "with_features"]

T = TypeVar("T", bound=Task)


def with_features(task: T, backbone: str | Backbone, *, cache: FeatureCache | None = None) -> T:
    """Return the task with the frozen backbone's features in place of its inputs.

    The backbone runs once over the whole raw set that the task's examples are a part of; tasks that share it, and
    later runs, read the cache.
    """
    network = create_backbone(backbone) if isinstance(backbone, str) else backbone
    store = cache or FeatureCache()

    return task.map_sets(lambda examples: store.apply(network, examples))


def encode_descriptions(
    task: ZeroShotTask, backbone: str | Backbone, *, cache: FeatureCache | None = None
) -> ZeroShotTask:
    """Return the task with its class descriptions encoded by a text backbone."""
    network = create_backbone(backbone) if isinstance(backbone, str) else backbone
    texts = np.array(task.descriptions)
    features = (cache or FeatureCache()).features(network, texts, checksum=content_hash(texts))
    return replace(task, embeddings=np.asarray(features, dtype=np.float32))
