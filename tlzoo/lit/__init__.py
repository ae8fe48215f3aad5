"""The Lightning modules, one per type of transfer learning, and their data; nothing below depends on Lightning."""

from tlzoo.lit.classical_oneshot import ClassicalOneShot
from tlzoo.lit.data import DomainData, EpisodeData, MultitaskData, ZeroShotData
from tlzoo.lit.domains import DomainAdaptation, DomainConfusion
from tlzoo.lit.finetuning import FineTuning
from tlzoo.lit.multitask import Multitask
from tlzoo.lit.oneshot import OneShot
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.predicting import DataFacts, Predictions
from tlzoo.lit.source_free import SourceFreeAdaptation
from tlzoo.lit.test_time import TestTimeAdaptation
from tlzoo.lit.zeroshot import ZeroShot

__all__ = [
    "ClassicalOneShot",
    "DataFacts",
    "DomainAdaptation",
    "DomainConfusion",
    "DomainData",
    "EpisodeData",
    "FineTuning",
    "Multitask",
    "MultitaskData",
    "OneShot",
    "OptimizerSettings",
    "Predictions",
    "SourceFreeAdaptation",
    "TestTimeAdaptation",
    "ZeroShot",
    "ZeroShotData",
]
