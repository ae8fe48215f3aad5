"""The methods: plain torch, one file a paper, in one package a family; and the base classes of methods of your own.

>>> from tlzoo.methods import Alignment
>>> from tlzoo.methods.confusion import CDAN
>>> issubclass(CDAN, Alignment)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy

if TYPE_CHECKING:
    from tlzoo.methods import adaptation as adaptation
    from tlzoo.methods import confusion as confusion
    from tlzoo.methods import finetuning as finetuning
    from tlzoo.methods import multitask as multitask
    from tlzoo.methods import oneshot as oneshot
    from tlzoo.methods import zeroshot as zeroshot
    from tlzoo.methods.alignment import Alignment as Alignment
    from tlzoo.methods.alternating import Alternating as Alternating
    from tlzoo.methods.base import Method as Method
    from tlzoo.methods.combined import Combined as Combined
    from tlzoo.methods.compatibility import Compatibility as Compatibility
    from tlzoo.methods.domain_method import DomainMethod as DomainMethod
    from tlzoo.methods.episode_classifier import EpisodeClassifier as EpisodeClassifier
    from tlzoo.methods.feature_method import FeatureMethod as FeatureMethod
    from tlzoo.methods.meta_learning import MetaLearner as MetaLearner
    from tlzoo.methods.source_free import SourceFree as SourceFree
    from tlzoo.methods.source_weighting import SourceWeighting as SourceWeighting
    from tlzoo.methods.statistic import Statistic as Statistic
    from tlzoo.methods.strategy import Strategy as Strategy
    from tlzoo.methods.target_labeling import TargetLabeling as TargetLabeling
    from tlzoo.methods.test_time import TestTime as TestTime
    from tlzoo.methods.text_compatibility import TextCompatibility as TextCompatibility
    from tlzoo.methods.transforms import FeatureTransform as FeatureTransform
    from tlzoo.methods.weighting import Weighting as Weighting

_FAMILIES = ("adaptation", "confusion", "finetuning", "multitask", "oneshot", "zeroshot")
_BASES = {
    "Alignment": "alignment",
    "Alternating": "alternating",
    "Combined": "combined",
    "Compatibility": "compatibility",
    "DomainMethod": "domain_method",
    "EpisodeClassifier": "episode_classifier",
    "FeatureMethod": "feature_method",
    "FeatureTransform": "transforms",
    "MetaLearner": "meta_learning",
    "Method": "base",
    "SourceFree": "source_free",
    "SourceWeighting": "source_weighting",
    "Statistic": "statistic",
    "Strategy": "strategy",
    "TargetLabeling": "target_labeling",
    "TestTime": "test_time",
    "TextCompatibility": "text_compatibility",
    "Weighting": "weighting",
}

__all__ = [*_FAMILIES, *_BASES]

__getattr__, __dir__ = lazy.attach(
    __name__,
    {name: f"{__name__}.{name}" for name in _FAMILIES} | {name: f"{__name__}.{file}" for name, file in _BASES.items()},
)
