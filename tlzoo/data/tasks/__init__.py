"""What a benchmark asks: one dataclass a type of transfer learning, and the views that methods get of it.

A task holds everything, test labels included; only the harness holds a task. ``task.view(sees, by=...)`` is what a
method is given: what it does not declare raises :class:`~tlzoo.types.SupervisionError`.
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
