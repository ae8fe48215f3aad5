"""Transfer learning with ``fit`` and ``predict``: scikit-learn's face of the methods, on arrays and tables.

>>> import numpy as np
>>> from tlzoo.estimators import DomainAdapter
>>> random = np.random.default_rng(0)
>>> y = np.array(["cat", "dog"])[np.arange(60) % 2]
>>> X = random.normal(size=(60, 4)) + 4 * (y == "dog")[:, None]
>>> adapter = DomainAdapter("coral").fit(X, y, X_target=0.2 * X - 1)  # no label of the target
>>> adapter.predict(0.2 * X[:2] - 1).tolist()
['cat', 'dog']
"""

from tlzoo.estimators.domains import DomainAdapter
from tlzoo.estimators.few_shot import FewShotClassifier
from tlzoo.estimators.fine_tuning import FineTuner
from tlzoo.estimators.multitask import MultitaskModel
from tlzoo.estimators.regression import DomainRegressor
from tlzoo.estimators.scorers import label_free_scorer
from tlzoo.estimators.whole import Whole
from tlzoo.estimators.zero_shot import ZeroShotClassifier

__all__ = [
    "DomainAdapter",
    "DomainRegressor",
    "FewShotClassifier",
    "FineTuner",
    "MultitaskModel",
    "Whole",
    "ZeroShotClassifier",
    "label_free_scorer",
]
