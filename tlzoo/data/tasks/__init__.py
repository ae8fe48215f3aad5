"""Tasks, one dataclass per type of transfer learning, and the views of them that methods get.

A task holds everything, including test labels, and only the harness has it. A method gets ``task.view(sees, by=...)``;
anything that it does not declare raises :class:`~tlzoo.types.SupervisionError`.
"""

from tlzoo.data.tasks.base import Task
from tlzoo.data.tasks.domain import DomainTask, DomainView
from tlzoo.data.tasks.episode import EpisodeTask, EpisodeView
from tlzoo.data.tasks.multitask import MultitaskTask, MultitaskView, Target, mean_metric
from tlzoo.data.tasks.zeroshot import ZeroShotTask, ZeroShotView

__all__ = [
    "DomainTask",
    "DomainView",
    "EpisodeTask",
    "EpisodeView",
    "MultitaskTask",
    "MultitaskView",
    "Target",
    "Task",
    "ZeroShotTask",
    "ZeroShotView",
    "mean_metric",
]
