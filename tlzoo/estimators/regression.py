"""Domain adaptation where targets are real numbers, with ``fit`` and ``predict``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, check_consistent_length
from torch import nn

from tlzoo.estimators.domain_estimator import DomainEstimator
from tlzoo.labels import value_matrix
from tlzoo.methods.base import Method
from tlzoo.methods.domain_method import check_for_regression
from tlzoo.methods.feature_method import FeatureMethod
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.registry import method_class

__all__ = ["DomainRegressor"]


class DomainRegressor(RegressorMixin, DomainEstimator):  # type: ignore[misc]
    """Learns numbers from labelled source data and unlabelled target data, and predicts those of target data.

    It takes the methods that need no classes: those made for regression (``rsd``, ``dare_gram``, ``jdot``), alignments
    of features (``dan``, ``deep_coral``, ``dann`` ...), which train a network on both domains, and maps and weights of
    features (``coral``, ``linear_ot``, ``kmm`` ...) before a ridge regression. Others are refused.

    Args:
        method: a name of the registry, or a method.
        backbone: see :class:`~tlzoo.estimators.DomainAdapter`, as all that is not explained here.
        features: the name of a frozen backbone that turns images or texts into features.
        method_settings: settings of a method given by name.
        backbone_settings: settings of a backbone given by name.
        bottleneck: width of a layer between features and answers; None for none.
        scale: divide features by the standard deviation of all their numbers.
        steps: number of training steps.
        batch_size: examples per step and domain.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`.
        penalty: of the ridge regression after a method on features; None for the best in leave-one-out.
        trainer: settings of Lightning's Trainer.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        module_: the trained Lightning module, with ``save`` and ``export``; for a method on features, an
            :class:`~tlzoo.methods.transforms.AlignedClassifier`.

    >>> random = np.random.default_rng(0)
    >>> X = random.normal(size=(80, 4))
    >>> y = 100 + 5 * X[:, 0]
    >>> regressor = DomainRegressor("coral").fit(X, y, X_target=2 * X + 1)  # another scale and location
    >>> bool(regressor.score(2 * X + 1, y) > 0.9)
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
        penalty: float | None = None,
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
        self.penalty = penalty
        self.trainer = trainer
        self.random_state = random_state

    def _labelled(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        check_for_regression(self.method if isinstance(self.method, Method) else method_class(self.method), "this")
        items = self._items(X, reset=True)
        labels = check_array(y, ensure_2d=False, ensure_all_finite=False, input_name="y", estimator=self)
        check_consistent_length(items, labels)
        return items, labels

    def _taught(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        check_array(labels, ensure_2d=False, input_name="y", estimator=self)  # rows of the target may lack values
        if len(labels) < 2:
            raise ValueError(f"the source has {len(labels)} sample; a regression needs two or more")
        self._single = labels.ndim == 1
        values: NDArray[np.float64] = value_matrix(labels, complete=True, what="y").double().numpy()
        self._targets = tuple(f"target{place}" for place in range(values.shape[1]))
        return values

    def _named(self) -> dict[str, Any]:
        return {"value_names": self._targets}

    def _aligned_model(self, made: FeatureMethod) -> AlignedClassifier:
        return AlignedClassifier(made, penalty=self.penalty, regression=True)

    def predict(self, X: Any, *, sample_domain: Any = None) -> NDArray[np.float64]:
        """Return the values of target data, (N,) or (N, T) as ``y`` was.

        Args:
            X: target data.
            sample_domain: (N,) positive for rows of a source, negative for the target.
        """
        found = self._by_domain(X, sample_domain, self._values)
        return found[:, 0] if self._single else found

    def _values(self, items: Any, side: str) -> Any:
        with torch.no_grad():
            if isinstance(self.module_, AlignedClassifier):
                return self.module_.classifier(self._mapped(items, side)).numpy()
        return self._outputs(items, side, "logits").numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = tags.target_tags.multi_output = True
        return tags
