"""Tasks on pinned data, the views that methods get of them, and samplers that are functions of (seed, step).

>>> from tlzoo.data import list_tasks
>>> "emoji/category:google->windows" in list_tasks()
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tlzoo.data.catalog import list_tasks, load_task

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
]

_MODULES = {
    "BatchSampler": "samplers",
    "DomainTask": "tasks",
    "EpisodeIndices": "episodes",
    "EpisodeList": "episodes",
    "EpisodeSampler": "episodes",
    "EpisodeTask": "tasks",
    "ExampleSet": "example_set",
    "MultitaskTask": "tasks",
    "Target": "tasks",
    "Task": "tasks",
    "VariedSampler": "varying_episodes",
    "ZeroShotTask": "tasks",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: names of tasks do not."""
    if name not in _MODULES:
        raise AttributeError(f"module 'tlzoo.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tlzoo.data.{_MODULES[name]}"), name)
