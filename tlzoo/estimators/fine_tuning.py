"""Fine-tuning with ``fit`` and ``predict``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, TransformerMixin
from torch import nn

from tlzoo.data import DomainTask
from tlzoo.estimators.base import TransferEstimator, class_names, classes_of, seeded
from tlzoo.lit import DomainData, FineTuning
from tlzoo.methods.base import Method

__all__ = ["FineTuner"]


class FineTuner(ClassifierMixin, TransformerMixin, TransferEstimator):  # type: ignore[misc]
    """Trains a pretrained network, or a classifier on its features, on labelled data.

    Args:
        method: a name of the registry (``"full"``, ``"linear_probe"``, ``"layerwise"``, ``"gradual_unfreezing"``,
            ``"l2_sp"``, ``"lora"`` ...), or a strategy.
        backbone: the network: a name for :func:`tlzoo.create_backbone`, or any module. None for features, on which a
            linear classifier is trained.
        features: the name of a frozen backbone that turns images or texts into features.
        method_settings: settings of a method given by name.
        backbone_settings: settings of a backbone given by name.
        scale: divide features by the standard deviation of all their numbers.
        steps: number of training steps.
        batch_size: examples per step.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`.
        trainer: settings of Lightning's Trainer, such as ``{"accelerator": "gpu"}``.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        classes_: (C,) the classes of ``y``.
        module_: the trained :class:`~tlzoo.lit.FineTuning`, with ``save`` and ``export``.

    >>> random = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X = random.normal(size=(60, 4)) + 4 * y[:, None]
    >>> settings = {"num_inputs": 4, "hidden": [8]}
    >>> tuner = FineTuner("full", "mlp", backbone_settings=settings, steps=50, optimizer={"lr": 0.1}, random_state=0)
    >>> tuner.fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        method: str | Method = "full",
        backbone: str | nn.Module | None = None,
        *,
        features: str | None = None,
        method_settings: Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        scale: bool = True,
        steps: int = 400,
        batch_size: int = 36,
        optimizer: Mapping[str, Any] | None = None,
        trainer: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.features = features
        self.method_settings = method_settings
        self.backbone_settings = backbone_settings
        self.scale = scale
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.trainer = trainer
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from labelled data.

        Args:
            X: (N, D), an array or a table; with ``features`` or ``backbone`` also texts, uint8 pictures (N, H, W, C) or
                series (N, time, channels).
            y: (N,) classes, as names or numbers.

        Raises:
            ValueError: the labels are no classes.
        """
        items, labels = self._labelled(X, y)
        self.classes_, places = classes_of(labels)
        examples = self._examples(items, places)
        nobody = examples.subset(np.empty(0, dtype=np.int64))
        task = DomainTask(
            name="arrays",
            class_names=class_names(self.classes_),
            source_train=nobody,
            source_test=nobody,
            target_train=examples,
            target_test=examples,
        )
        seed = self._seed()
        with seeded(seed):
            scale = self.scale and self.backbone is None
            data = DomainData(task, features=self.features, scale=scale, batch_size=self.batch_size, seed=seed)
            module = FineTuning.for_data(
                data,
                copy.deepcopy(self.method),
                backbone=copy.deepcopy(self.backbone),
                backbone_settings=self.backbone_settings,
                optimizer=self.optimizer,
                method_settings=self.method_settings,
            )
            self._trained(module, data, steps=self.steps, trainer=self.trainer)
            self._kept(module)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the classes (N,)."""
        places = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the probabilities (N, C) of the classes."""
        with self._answering() as module:
            found: NDArray[np.floating[Any]] = module.predict(self._items(X, reset=False)).probabilities
        return found

    @torch.no_grad()
    def transform(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the features (N, K) that the classifier is given."""
        with self._answering() as module:
            batches = module.batches_of(self._items(X, reset=False), 256)
            found: NDArray[np.floating[Any]] = torch.cat([module.network(b).features for b in batches]).cpu().numpy()
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags
