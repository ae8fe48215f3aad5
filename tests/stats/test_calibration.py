import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torchmetrics.functional.classification import multiclass_calibration_error

from tlzoo.stats import expected_calibration_error, macro_f1, negative_log_likelihood

RANDOM = np.random.default_rng(0)
LOGITS, LABELS = RANDOM.normal(0, 2, size=(300, 5)), RANDOM.integers(0, 5, size=300)


def test_calibration_error_equals_torchmetrics():
    reference = multiclass_calibration_error(
        torch.from_numpy(LOGITS).softmax(dim=1), torch.from_numpy(LABELS), num_classes=5, n_bins=15, norm="l1"
    )
    assert expected_calibration_error(LOGITS, LABELS) == pytest.approx(float(reference), abs=1e-6)


def test_likelihood_equals_cross_entropy():
    reference = torch.nn.functional.cross_entropy(torch.from_numpy(LOGITS), torch.from_numpy(LABELS))
    assert negative_log_likelihood(LOGITS, LABELS) == pytest.approx(float(reference))
    assert negative_log_likelihood([[1e4, 0.0]], [1]) == pytest.approx(1e4)


def test_macro_f1_equals_scikit_learn():
    assert macro_f1(LOGITS, LABELS) == pytest.approx(f1_score(LABELS, LOGITS.argmax(axis=1), average="macro"))
    few = LABELS % 2  # three classes are predicted but do not occur
    assert macro_f1(LOGITS, few) == pytest.approx(f1_score(few, LOGITS.argmax(axis=1), average="macro"))


def test_certain_and_right_is_calibrated():
    assert expected_calibration_error(1e3 * np.eye(4), np.arange(4)) == 0.0


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS, LABELS[:-1], r"logits \(300, 5\) and labels \(299,\)"),
        (LOGITS, LABELS + 1, "labels from 1 to 5 for 5 classes"),
        (np.empty((0, 3)), np.empty(0), "N at least 1"),
    ],
)
def test_mistakes_are_named(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        macro_f1(logits, labels)
