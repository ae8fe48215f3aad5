"""Label-free validators as scorers of scikit-learn: what a search may look at instead of target labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tlzoo.estimators.whole import unwrapped
from tlzoo.selection import SCORES, SOURCE_SCORES
from tlzoo.spelling import nearest
from tlzoo.types import Prediction

__all__ = ["label_free_scorer"]


def label_free_scorer(name: str, X_target: Any) -> Callable[[Any, Any, Any], float]:
    """Return a scorer for ``GridSearchCV`` and its like that looks at unlabelled target inputs.

    Args:
        name: ``"information"``, ``"entropy"``, ``"snd"``, ``"bnm"`` or ``"class_cluster"``; or one that compares with
            the held-out source data of the split: ``"source_risk"``, ``"mmd"``, ``"dev"``, ``"reverse_validation"``.
        X_target: target inputs, as for ``predict``.

    Raises:
        ValueError: there is no such score.

    >>> from sklearn.model_selection import GridSearchCV
    >>> from tlzoo.estimators import DomainAdapter, Whole
    >>> random = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X, X_target = (random.normal(size=(60, 4)) + 4 * y[:, None] + shift for shift in (0, 1))
    >>> space = {"method": ["unaligned", "coral"]}
    >>> search = GridSearchCV(DomainAdapter(), space, scoring=label_free_scorer("information", X_target), cv=2)
    >>> sorted(search.fit(X, y, X_target=Whole(X_target)).best_params_)
    ['method']
    """
    known = {**SCORES, **SOURCE_SCORES}
    if name not in known:
        raise ValueError(nearest(name, known, kind="validator"))
    return _Scorer(name, unwrapped(X_target))


class _Scorer:
    """The scorer, of a class, so that it can be pickled."""

    def __init__(self, name: str, X_target: Any) -> None:
        self.name, self.X_target = name, X_target

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        target = _predicted(estimator, self.X_target)
        if self.name in SCORES:
            return float(SCORES[self.name](target.features, target.logits))
        places = np.searchsorted(estimator.classes_, np.asarray(y))
        return float(SOURCE_SCORES[self.name](_predicted(estimator, X, places), target))

    def __repr__(self) -> str:
        return f"label_free_scorer({self.name!r})"


def _predicted(estimator: Any, X: Any, labels: Any = None) -> Prediction:
    """Return the features of an estimator or a pipeline, its logarithms of probabilities, and labels."""
    probabilities = torch.as_tensor(np.asarray(estimator.predict_proba(X), dtype=np.float64))
    logits = probabilities.clamp_min(torch.finfo(torch.float64).tiny).log()
    features = torch.as_tensor(np.asarray(estimator.transform(X))) if hasattr(estimator, "transform") else logits
    return Prediction(features=features, logits=logits, labels=None if labels is None else torch.as_tensor(labels))
