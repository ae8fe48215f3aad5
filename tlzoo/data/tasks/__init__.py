"""Tasks, one dataclass per type of transfer learning, and the training data that methods get from them.

A task holds everything, including test labels, and only the harness has it. A method gets
``task.training_data(sees, by=...)``, in which anything that it does not declare raises
:class:`~tlzoo.types.SupervisionError`.
"""

from tlzoo.data.tasks.base import Task
from tlzoo.data.tasks.domain import DomainTask, DomainTrainingData
from tlzoo.data.tasks.episode import EpisodeTask, EpisodeTrainingData
from tlzoo.data.tasks.multitask import MultitaskTask, MultitaskTrainingData, Target, mean_metric
from tlzoo.data.tasks.zeroshot import ZeroShotTask, ZeroShotTrainingData

__all__ = [
    "DomainTask",
    "DomainTrainingData",
    "EpisodeTask",
    "EpisodeTrainingData",
    "MultitaskTask",
    "MultitaskTrainingData",
    "Target",
    "Task",
    "ZeroShotTask",
    "ZeroShotTrainingData",
    "mean_metric",
]
