"""The scenario of each kind of method."""

from __future__ import annotations

from tlzoo.methods.alignment import Alignment
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.base import Method
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.conformance.alignment import AlignmentScenario
from tlzoo.methods.conformance.alternating import AlternatingScenario
from tlzoo.methods.conformance.compatibility import CompatibilityScenario
from tlzoo.methods.conformance.episodes import EpisodeScenario
from tlzoo.methods.conformance.image_text import ImageTextScenario
from tlzoo.methods.conformance.merging import MergingScenario
from tlzoo.methods.conformance.meta import MetaScenario
from tlzoo.methods.conformance.scenario import Scenario
from tlzoo.methods.conformance.source_free import SourceFreeScenario
from tlzoo.methods.conformance.strategy import StrategyScenario
from tlzoo.methods.conformance.test_time import TestTimeScenario
from tlzoo.methods.conformance.texts import TextScenario
from tlzoo.methods.conformance.transforms import FitScenario, TransformScenario
from tlzoo.methods.conformance.weighting import WeightingScenario
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.methods.merging import Merging
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.methods.source_free import SourceFree
from tlzoo.methods.source_weighting import SourceWeighting
from tlzoo.methods.strategy import Strategy
from tlzoo.methods.target_labeling import TargetLabeling
from tlzoo.methods.test_time import TestTime
from tlzoo.methods.text_compatibility import TextCompatibility
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.methods.weighting import Weighting
from tlzoo.registry import method_class

__all__ = ["scenarios"]

_KINDS: tuple[tuple[type[Method], type[Scenario]], ...] = (
    (Alignment, AlignmentScenario),
    (Alternating, AlternatingScenario),
    (FeatureTransform, TransformScenario),
    (SourceWeighting, FitScenario),
    (TargetLabeling, FitScenario),
    (SourceFree, SourceFreeScenario),
    (TestTime, TestTimeScenario),
    (EpisodeClassifier, EpisodeScenario),
    (ImageTextClassifier, ImageTextScenario),
    (MetaLearner, MetaScenario),
    (Merging, MergingScenario),
    (Weighting, WeightingScenario),
    (TextCompatibility, TextScenario),
    (Compatibility, CompatibilityScenario),
    (Strategy, StrategyScenario),
)


def scenarios(method: str | type[Method]) -> list[Scenario]:
    """Return a scenario for each of the variants of a method, given by name or class.

    Raises:
        TypeError: the class derives from no known kind of method.
    """
    cls = method_class(method) if isinstance(method, str) else method
    for base, kind in _KINDS:
        if issubclass(cls, base):
            return [kind(cls, settings) for settings in cls.variants]
    kinds = ", ".join(base.__name__ for base, _ in _KINDS)
    raise TypeError(f"{cls.__name__} is no {kinds}; derive it from one of them")
