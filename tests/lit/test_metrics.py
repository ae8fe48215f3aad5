import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from tlzoo.lit.metrics import MeanClassAccuracy

absent = pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning:sklearn")


@absent
def test_it_is_balanced_accuracy_where_a_class_is_predicted_but_absent():
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 3], size=50)  # class 2 has no example
    logits = random.normal(size=(50, 4)) + np.eye(4)[labels]
    assert 2 in logits.argmax(axis=1)
    metric = MeanClassAccuracy(4)
    for part in (slice(0, 20), slice(20, 50)):
        metric.update(torch.from_numpy(logits[part]), torch.from_numpy(labels[part]))
    assert float(metric.compute()) == pytest.approx(balanced_accuracy_score(labels, logits.argmax(axis=1)), abs=1e-6)


def test_classes_count_alike_however_many_examples_they_have():
    metric = MeanClassAccuracy(2)
    logits = torch.eye(2)[torch.tensor([0, 0, 0, 0])]
    metric.update(logits, torch.tensor([0, 0, 0, 1]))
    assert float(metric.compute()) == 0.5


def test_reset_and_an_empty_batch():
    metric = MeanClassAccuracy(3)
    metric.update(torch.empty(0, 3), torch.empty(0, dtype=torch.long))
    metric.update(torch.eye(3), torch.arange(3))
    assert float(metric.compute()) == 1.0
    metric.reset()
    assert metric.totals.sum() == 0
