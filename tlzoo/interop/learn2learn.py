"""learn2learn's tasksets as episodes, its MAML and MetaSGD as episode classifiers.

Importing learn2learn 0.2.0 imports all its parts, including gym and qpth, which do not install in recent environments.
The parts in use here do not need them, so they are imported without the eager ``__init__`` files. See
``requirements-learn2learn.txt`` for the installation.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Episode

__all__ = ["GradientLearner", "TasksetEpisodes", "as_classifier", "episodes_from_taskset", "load"]

_EAGER = ("learn2learn", "learn2learn.algorithms")
_ALGORITHMS = {"MAML": "learn2learn.algorithms.maml", "MetaSGD": "learn2learn.algorithms.meta_sgd"}


def load() -> ModuleType:
    """Import the part of learn2learn that works without its requirements, and return it.

    The module has ``algorithms.MAML``, ``algorithms.MetaSGD``, ``data`` and ``utils``. If learn2learn as a whole is
    already imported, it is returned instead.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    if "learn2learn" not in sys.modules:
        folder = _folder()
        for name in _EAGER:
            empty = ModuleType(name, "Imported in parts by tlzoo.interop.learn2learn.")
            empty.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
            sys.modules[name] = empty
        sys.modules["learn2learn"].algorithms = sys.modules["learn2learn.algorithms"]  # type: ignore[attr-defined]
    whole = sys.modules["learn2learn"]
    for part in ("learn2learn.utils", "learn2learn.data", *_ALGORITHMS.values()):
        importlib.import_module(part)
    for cls, module in _ALGORITHMS.items():
        setattr(whole.algorithms, cls, getattr(sys.modules[module], cls))
    return whole


def _folder() -> Path:
    spec = importlib.util.find_spec("learn2learn")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "learn2learn is not installed; run: pip install --no-deps -r requirements-learn2learn.txt (a file in "
            "tlzoo's repository, which says why a plain install fails)"
        )
    return Path(next(iter(spec.submodule_search_locations)))


class TasksetEpisodes:
    """One episode for each task of a taskset; see :func:`episodes_from_taskset`."""

    def __init__(self, taskset: Iterable[tuple[Tensor, Tensor]], *, way: int, shot: int, query: int) -> None:
        self.taskset, self.way, self.shot, self.query = taskset, way, shot, query

    def __len__(self) -> int:
        if not isinstance(self.taskset, Sized):
            raise TypeError(f"{type(self.taskset).__name__} does not know how many tasks it has")
        return len(self.taskset)

    def __iter__(self) -> Iterator[Episode]:
        for inputs, labels in self.taskset:
            yield self._episode(inputs, labels)

    def _episode(self, inputs: Tensor, labels: Tensor) -> Episode:
        """Split one task: for each class, the first rows are support, and the next ones queries."""
        classes = torch.unique(labels)
        wanted = self.shot + self.query
        rows = [(labels == label).nonzero().squeeze(1) for label in classes]
        if len(rows) != self.way or min(map(len, rows)) < wanted:
            raise ValueError(
                f"a task with {len(rows)} classes and at least {min(map(len, rows))} examples each; expected "
                f"{self.way} classes of {wanted} (shot {self.shot} + query {self.query}): give the taskset the "
                f"transforms NWays(dataset, {self.way}) and KShots(dataset, {wanted})"
            )
        support = torch.cat([places[: self.shot] for places in rows])
        query = torch.cat([places[self.shot : wanted] for places in rows])
        numbers = torch.arange(self.way)
        return Episode(
            support=inputs[support][None],
            support_labels=numbers.repeat_interleave(self.shot)[None],
            query=inputs[query][None],
            query_labels=numbers.repeat_interleave(self.query)[None],
            way=self.way,
        )


def episodes_from_taskset(
    taskset: Iterable[tuple[Tensor, Tensor]], *, way: int, shot: int, query: int
) -> TasksetEpisodes:
    """Return the tasks of a learn2learn ``Taskset`` as episodes that :class:`tlzoo.OneShot` trains on and answers.

    Args:
        taskset: yields (inputs (N, ...), labels (N,)); each task numbers its classes from 0.
        way: number of classes per task.
        shot: support examples per class.
        query: query examples per class.

    Returns:
        An iterable of :class:`~tlzoo.types.Episode`, E = 1. Iterating raises a ValueError if a task does not
        have ``way`` classes, or has too few examples of one.
    """
    return TasksetEpisodes(taskset, way=way, shot=shot, query=query)


class GradientLearner(EpisodeClassifier):
    """A learner of learn2learn, which adapts a clone of its network to each support set by gradient steps.

    The gradient of the query loss passes through the clones to the network's parameters, so :class:`tlzoo.OneShot` can
    train it.

    Args:
        learner: a ``MAML`` or ``MetaSGD`` around a network that maps (B, D) to (B, way).
        steps: gradient steps on the support set.
        inner_loss: the loss of these steps, a function of logits (S, way) and labels (S,).
        input_shape: shape of one input of the network; None for (D,).
    """

    def __init__(
        self,
        learner: nn.Module,
        *,
        steps: int = 1,
        inner_loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        for needed in ("clone", "adapt"):
            if not hasattr(learner, needed):
                raise TypeError(f"{type(learner).__name__} cannot {needed}; expected learn2learn's MAML or MetaSGD")
        if steps < 1:
            raise ValueError(f"{steps} steps; expected at least one")
        self.learner, self.steps, self.inner_loss = learner, steps, inner_loss
        self.input_shape = None if input_shape is None else tuple(input_shape)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way).

        Raises:
            ValueError: the number of outputs is not ``way``.
        """
        episodes = zip(self._shaped(support), support_labels, self._shaped(query), strict=True)
        logits = torch.stack([self._answers(*episode) for episode in episodes])
        if logits.shape[-1] != way:
            raise ValueError(f"the learner's network has {logits.shape[-1]} outputs for episodes of {way} classes")
        return logits

    def _shaped(self, inputs: Tensor) -> Tensor:
        return inputs if self.input_shape is None else inputs.reshape(*inputs.shape[:2], *self.input_shape)

    def _answers(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        adapted: Any = self.learner
        adapted = adapted.clone()
        for _ in range(self.steps):
            adapted.adapt(self.inner_loss(adapted(support), labels))
        logits: Tensor = adapted(query)
        return logits


def as_classifier(learner: nn.Module, *, steps: int = 1, **settings: Any) -> GradientLearner:
    """Return a learner of learn2learn as an episode classifier; see :class:`GradientLearner` for the arguments."""
    return GradientLearner(learner, steps=steps, **settings)
