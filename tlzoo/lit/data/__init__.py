"""Data modules: a method gets the parts of a task that it declares, in batches that depend only on seed and step."""

from tlzoo.lit.data.base import TaskData
from tlzoo.lit.data.domains import DomainData
from tlzoo.lit.data.episodes import EpisodeData
from tlzoo.lit.data.loaders import StepLoader
from tlzoo.lit.data.multitask import MultitaskData
from tlzoo.lit.data.zeroshot import ZeroShotData

__all__ = ["DomainData", "EpisodeData", "MultitaskData", "StepLoader", "TaskData", "ZeroShotData"]
