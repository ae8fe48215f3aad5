"""The Lightning modules, one a type of transfer learning, and their data: the only part that knows Lightning."""

import warnings

from tlzoo.lit.classical_oneshot import ClassicalOneShot
from tlzoo.lit.data import DomainData, EpisodeData, MultitaskData, ZeroShotData
from tlzoo.lit.domains import DomainAdaptation, DomainConfusion
from tlzoo.lit.finetuning import FineTuning
from tlzoo.lit.multitask import Multitask
from tlzoo.lit.oneshot import OneShot
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.source_free import SourceFreeAdaptation
from tlzoo.lit.test_time import TestTimeAdaptation
from tlzoo.lit.zeroshot import ZeroShot

__all__ = [
    "ClassicalOneShot",
    "DomainAdaptation",
    "DomainConfusion",
    "DomainData",
    "EpisodeData",
    "FineTuning",
    "Multitask",
    "MultitaskData",
    "OneShot",
    "OptimizerSettings",
    "SourceFreeAdaptation",
    "TestTimeAdaptation",
    "ZeroShot",
    "ZeroShotData",
]

# neither is for a user to act on: Lightning 2.6 on a torch that renames what it uses, and a method without validation
# data, for which an empty list of loaders is our intention
warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated", module="pytorch_lightning")
warnings.filterwarnings("ignore", "Total length of .list. across ranks is zero", module="pytorch_lightning")
