"""Figures of answers: a task and its outputs in, named figures out. No accuracy is computed anywhere else.

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
from tlzoo.scoring.classes import CLASS_FIGURES, ClassScores
from tlzoo.scoring.episodes import EpisodeScores
from tlzoo.scoring.targets import MultitaskScores, target_scores
from tlzoo.scoring.zeroshot import ZeroShotScores

__all__ = ["CLASS_FIGURES", "ClassScores", "EpisodeScores", "MultitaskScores", "Scores", "ZeroShotScores", "scorer"]


def scorer(task: Any, *, seen: NDArray[np.bool_] | None = None) -> Any:
    """Return what counts the answers to a task's test, or to one target of a multitask task.

    Args:
        task: a task of any kind, or a :class:`~tlzoo.data.Target`.
        seen: which candidates of a zero-shot task were trained on (C,); those of its test where None.

    Returns:
        :class:`ClassScores` of a domain task, :class:`EpisodeScores`, :class:`ZeroShotScores`,
        :class:`MultitaskScores`, or the :class:`Scores` of a target: classes, ordered ones, values, dense classes or
        values, normals.

    Raises:
        TypeError: something else.
    """
    match task:
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
    raise TypeError(f"nothing to score of a {type(task).__name__}; expected a task or a Target")
