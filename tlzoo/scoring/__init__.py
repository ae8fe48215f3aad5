"""Scores of answers to a task: every accuracy in tlzoo is computed here.

>>> import torch
>>> from tlzoo.data import Target
>>> scores = scorer(Target(classes=3)).of(torch.eye(3)[[0, 1, 1, 0]], torch.tensor([0, 1, 2, 0]))
>>> scores["accuracy"], round(scores["balanced_accuracy"], 3)
(0.75, 0.667)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Target, ZeroShotTask
from tlzoo.scoring.base import Scores
from tlzoo.scoring.classification import CLASS_FIGURES, ClassScores
from tlzoo.scoring.episodes import EpisodeScores
from tlzoo.scoring.regression import RegressionScores
from tlzoo.scoring.task_targets import MultitaskScores, target_scores
from tlzoo.scoring.zeroshot import ZeroShotScores

__all__ = [
    "CLASS_FIGURES",
    "ClassScores",
    "EpisodeScores",
    "MultitaskScores",
    "RegressionScores",
    "Scores",
    "ZeroShotScores",
    "scorer",
]


def scorer(task: Any, *, seen: NDArray[np.bool_] | None = None) -> Any:
    """Return the scorer of a task's test, or of one target of a multitask task.

    Args:
        task: a task of any kind, or a :class:`~tlzoo.data.Target`.
        seen: (C,) which candidates of a zero-shot task were seen in training; by default as the task's test says.

    Returns:
        :class:`ClassScores` for a domain task, :class:`RegressionScores` if it is a regression;
        :class:`EpisodeScores`, :class:`ZeroShotScores` or
        :class:`MultitaskScores` for the other kinds; the :class:`Scores` of its kind for a single target.

    Raises:
        TypeError: it is neither a task nor a target.
    """
    match task:
        case DomainTask() if task.regression:
            return RegressionScores(task.value_names, ranges=task.value_ranges)
        case DomainTask():
            return ClassScores(task.num_classes, metric=task.metric, groups=task.target_names, unknown=task.unknown)
        case EpisodeTask():
            return EpisodeScores()
        case ZeroShotTask():
            of_test = np.isin(task.candidates, task.seen) if seen is None else seen
            return ZeroShotScores(of_test, by_class=task.train is not None)
        case MultitaskTask():
            return MultitaskScores(task.targets)
        case Target():
            return target_scores(task)
    raise TypeError(f"cannot score {type(task).__name__}; expected a task or a Target")
