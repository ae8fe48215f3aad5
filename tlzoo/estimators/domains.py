"""Domain adaptation and confusion with ``fit`` and ``predict``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from torch import nn

from tlzoo.estimators.base import class_names, classes_of
from tlzoo.estimators.domain_estimator import DomainEstimator
from tlzoo.lit import TestTimeAdaptation
from tlzoo.methods.base import Method
from tlzoo.methods.feature_method import FeatureMethod
from tlzoo.methods.transforms import AlignedClassifier

__all__ = ["DomainAdapter"]


class DomainAdapter(ClassifierMixin, DomainEstimator):  # type: ignore[misc]
    """Learns classes from labelled source data and unlabelled target data, and predicts those of target data.

    It takes every method of domain adaptation and confusion: alignments and adversaries train a network on both
    domains, methods on features (``coral``, ``linear_ot``, ``tca``, ``kmm``, ``jdot`` ...) map or weight them before a
    logistic regression, source-free methods (``shot``) go on from a source model, and test-time methods (``tent``) from
    it while they predict, starting anew in each call.

    Args:
        method: a name of the registry, or a method.
        backbone: a network to train: a name for :func:`tlzoo.create_backbone`, or any module. None for features, on
            which only ``bottleneck`` and the classifier are trained.
        features: the name of a frozen backbone that turns images or texts into features.
        method_settings: settings of a method given by name.
        backbone_settings: settings of a backbone given by name.
        bottleneck: width of a layer between features and classifier; None for none. Without it and without a backbone,
            a method has no layer to align features with.
        scale: divide features by the standard deviation of all their numbers.
        steps: number of training steps; source-free methods take as many again.
        batch_size: examples per step and domain.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`.
        classifier: after a method on features, see :class:`~tlzoo.methods.transforms.AlignedClassifier`.
        penalty: of that classifier.
        trainer: settings of Lightning's Trainer, such as ``{"accelerator": "gpu"}``.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        classes_: (C,) the classes of ``y``.
        module_: the trained Lightning module, with ``save`` and ``export``; for a transform, an
            :class:`~tlzoo.methods.transforms.AlignedClassifier`.

    >>> random = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X = random.normal(size=(60, 4)) + 4 * y[:, None]
    >>> adapter = DomainAdapter("mcc", steps=30, random_state=0).fit(X, y, X_target=X + 1)
    >>> adapter.score(X + 1, y) > 0.9
    True
    """

    def __init__(
        self,
        method: str | Method = "coral",
        backbone: str | nn.Module | None = None,
        *,
        features: str | None = None,
        method_settings: Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        bottleneck: int | None = 256,
        scale: bool = True,
        steps: int = 400,
        batch_size: int = 36,
        optimizer: Mapping[str, Any] | None = None,
        classifier: str = "logistic",
        penalty: float | str | None = 1.0,
        trainer: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.features = features
        self.method_settings = method_settings
        self.backbone_settings = backbone_settings
        self.bottleneck = bottleneck
        self.scale = scale
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.classifier = classifier
        self.penalty = penalty
        self.trainer = trainer
        self.random_state = random_state

    def _taught(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        self.classes_, places = classes_of(labels)
        return places

    def _named(self) -> dict[str, Any]:
        return {"class_names": class_names(self.classes_)}

    def _aligned_model(self, made: FeatureMethod) -> AlignedClassifier:
        return AlignedClassifier(made, classifier=self.classifier, penalty=self.penalty)

    def predict(self, X: Any, *, sample_domain: Any = None) -> NDArray[Any]:
        """Return the classes (N,) of target data; with ``sample_domain``, positive numbers mark rows of a source."""
        places = self.predict_proba(X, sample_domain=sample_domain).argmax(axis=1)
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: Any, *, sample_domain: Any = None) -> NDArray[np.float64]:
        """Return the probabilities (N, C) of the classes, see :meth:`predict`."""
        return self._by_domain(X, sample_domain, self._probabilities)

    def _probabilities(self, items: Any, side: str) -> Any:
        with torch.no_grad():
            if isinstance(self.module_, AlignedClassifier):
                return self.module_.classifier(self._mapped(items, side)).softmax(dim=1).numpy()
        if isinstance(self.module_, TestTimeAdaptation):
            self.module_.method.reset()
            return self.module_.predict(items, batch_size=self.batch_size).probabilities
        return self._outputs(items, side, "logits").softmax(dim=1).numpy()
