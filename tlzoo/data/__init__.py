"""Tasks on pinned data, the training data that methods get from them, and samplers that depend only on seed and step.

>>> from tlzoo.data import list_tasks
>>> "emoji/category:google->windows" in list_tasks()
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy
from tlzoo.data.catalog import list_tasks, load_task, register_task

if TYPE_CHECKING:
    from tlzoo.data.episodes import EpisodeIndices, EpisodeList, EpisodeSampler
    from tlzoo.data.example_set import ExampleSet
    from tlzoo.data.samplers import BatchSampler
    from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Target, Task, ZeroShotTask
    from tlzoo.data.varying_episodes import VariedSampler

__all__ = [
    "BatchSampler",
    "DomainTask",
    "EpisodeIndices",
    "EpisodeList",
    "EpisodeSampler",
    "EpisodeTask",
    "ExampleSet",
    "MultitaskTask",
    "Target",
    "Task",
    "VariedSampler",
    "ZeroShotTask",
    "list_tasks",
    "load_task",
    "register_task",
]

__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        "BatchSampler": "tlzoo.data.samplers",
        "DomainTask": "tlzoo.data.tasks",
        "EpisodeIndices": "tlzoo.data.episodes",
        "EpisodeList": "tlzoo.data.episodes",
        "EpisodeSampler": "tlzoo.data.episodes",
        "EpisodeTask": "tlzoo.data.tasks",
        "ExampleSet": "tlzoo.data.example_set",
        "MultitaskTask": "tlzoo.data.tasks",
        "Target": "tlzoo.data.tasks",
        "Task": "tlzoo.data.tasks",
        "VariedSampler": "tlzoo.data.varying_episodes",
        "ZeroShotTask": "tlzoo.data.tasks",
    },
)
