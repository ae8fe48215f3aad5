"""Few-shot classification with ``fit`` and ``predict``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from torch import nn

from tlzoo.data import EpisodeTask, ExampleSet
from tlzoo.estimators.base import TransferEstimator, class_names, classes_of, seeded
from tlzoo.estimators.whole import unwrapped
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.methods.base import Method
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Sees

__all__ = ["FewShotClassifier"]


class FewShotClassifier(ClassifierMixin, TransferEstimator):  # type: ignore[misc]
    """Classifies from a few labelled examples of each class: ``fit`` takes the support set, ``predict`` the queries.

    A transductive method (``tim``, ``laplacian_shot`` ...) looks at all rows of a ``predict`` together, so that its
    answers depend on what is asked besides.

    Args:
        method: a name of the registry, or an episode classifier or meta-learner.
        backbone: a network to train on episodes of the base classes, or any module. None for features.
        features: the name of a frozen backbone that turns images or texts into features.
        method_settings: settings of a method given by name.
        backbone_settings: settings of a backbone given by name.
        steps: number of training steps on episodes of the base classes, where there is something to train.
        batch_size: episodes per step.
        query: queries per class of a training episode.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`.
        trainer: settings of Lightning's Trainer, such as ``{"accelerator": "gpu"}``.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        classes_: (C,) the classes of ``y``.
        module_: the :class:`~tlzoo.lit.OneShot`.
        support_: the support set, items and labels.

    >>> X, y = np.eye(4)[:, :3] + 1, ["a", "b", "b", "a"]
    >>> FewShotClassifier("protonet").fit(X, y).predict(X[:2]).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        method: str | Method = "simpleshot",
        backbone: str | nn.Module | None = None,
        *,
        features: str | None = None,
        method_settings: Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        steps: int = 400,
        batch_size: int = 4,
        query: int = 5,
        optimizer: Mapping[str, Any] | None = None,
        trainer: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.features = features
        self.method_settings = method_settings
        self.backbone_settings = backbone_settings
        self.steps = steps
        self.batch_size = batch_size
        self.query = query
        self.optimizer = optimizer
        self.trainer = trainer
        self.random_state = random_state

    def fit(self, X: Any, y: Any, X_base: Any = None, y_base: Any = None) -> Self:
        """Take the support set; learn from base classes, if there are any.

        Args:
            X: support (N, D), an array or a table; with ``features`` or ``backbone`` also texts, uint8 pictures
                (N, H, W, C) or series (N, time, channels).
            y: (N,) classes, as names or numbers.
            X_base: examples of other classes, for methods with base statistics and for training. Without them, the
                support set gives the statistics.
            y_base: their classes, for training.

        Raises:
            ValueError: the labels are no classes, or there is something to train and no base classes.
        """
        items, labels = self._labelled(X, y)
        self.classes_, places = classes_of(labels)
        base, base_places = unwrapped(X_base), unwrapped(y_base)
        base = None if base is None else self._items(base, reset=False)
        if base_places is not None:
            base_places = np.unique(np.asarray(base_places), return_inverse=True)[1]
        self.support_ = items, labels
        seed = self._seed()
        with seeded(seed):
            data = self._data(self._task(items, places, base, base_places), seed)
            module = OneShot.for_data(
                data,
                copy.deepcopy(self.method),
                backbone=copy.deepcopy(self.backbone),
                way=len(self.classes_),
                backbone_settings=self.backbone_settings,
                optimizer=self.optimizer,
                method_settings=self.method_settings,
            )
            if base_places is not None and module.learns:
                self._trained(module, data, steps=self.steps, trainer=self.trainer)
            elif any(p.numel() > 1 for p in module.method.parameters()):
                raise ValueError(
                    f"{module.method_name} has weights that it learns from episodes of base classes; give "
                    "fit(X, y, X_base, y_base)"
                )
            method = module.method
            if isinstance(method, EpisodeClassifier) and Sees.SOURCE_INPUTS in method.sees:
                shown = data.base_examples(method.sees, by=method.name)
                module.fit_base(shown.inputs, shown.labels)
            self._kept(module)
        return self

    def _task(self, items: Any, places: NDArray[np.int64], base: Any, base_places: Any) -> EpisodeTask:
        novel = self._examples(items, places)
        names = class_names(self.classes_)
        others: ExampleSet = novel
        if base is not None:
            labels = np.zeros(len(base), dtype=np.int64) if base_places is None else base_places
            others = self._examples(base, labels + len(names))
            names = (*names, *(f"base {k}" for k in range(int(labels.max()) + 1)))
        return EpisodeTask(name="arrays", class_names=names, base=others, validation=novel, novel=novel)

    def _data(self, task: EpisodeTask, seed: int) -> EpisodeData:
        shot = max(1, int(np.bincount(task.novel.labels).min())) if task.novel.labels is not None else 1
        way = len(self.classes_)
        return EpisodeData(
            task, features=self.features, way=way, shot=shot, query=self.query, batch_size=self.batch_size, seed=seed
        )

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the classes (N,) of queries."""
        places = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the probabilities (N, C) of the classes: the softmax of the method's logits."""
        with self._answering() as module, torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            shown, labels = self.support_
            places = np.searchsorted(self.classes_, labels)
            said = module.predict(self._items(X, reset=False), support=shown, labels=places)
        found: NDArray[np.floating[Any]] = said.probabilities
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None and self.backbone is not None
        return tags
