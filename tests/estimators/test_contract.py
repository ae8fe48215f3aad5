"""scikit-learn's own checks, on every estimator and methods of every kind."""

import warnings

import pytest
from sklearn.utils.estimator_checks import check_estimator

from tlzoo.estimators import (
    DomainAdapter,
    DomainRegressor,
    FewShotClassifier,
    FineTuner,
    MultitaskModel,
    ZeroShotClassifier,
)

SHORT = {"steps": 20, "optimizer": {"name": "adam", "lr": 0.05, "backbone_lr": 1.0}, "random_state": 0}
"""As few steps as the checks' clusters need."""

TOGETHER = dict.fromkeys(
    ("check_methods_subset_invariance", "check_methods_sample_order_invariance"),
    "the method looks at all rows of a predict together; its receipt says so",
)

ROOTS = {"check_classifiers_train": "it takes powers of features, which must not be negative, as those of the checks"}

CASES = [
    *[DomainAdapter(name) for name in ("coral", "subspace_alignment", "linear_ot", "standardization", "unaligned")],
    *[DomainAdapter(name, bottleneck=16, **SHORT) for name in ("mcc", "adabn")],
    DomainAdapter("tent", bottleneck=16, **SHORT),
    DomainRegressor("coral"),
    FineTuner("linear_probe", **SHORT),
    *[FewShotClassifier(name) for name in ("protonet", "simpleshot", "matching_net", "r2d2", "logistic", "finetune")],
    *[FewShotClassifier(name) for name in ("tim", "laplacian_shot", "pt_map")],
    *[ZeroShotClassifier(name, "one-hot") for name in ("eszsl", "ridge", "sae")],
    MultitaskModel("equal", hidden=8, **SHORT),
]

_TRANSDUCTIVE = {"tent", "tim", "laplacian_shot", "pt_map"}


def test_twenty_methods_and_every_estimator():
    assert len({case.method for case in CASES}) >= 20
    assert {type(case) for case in CASES} == {
        DomainAdapter,
        DomainRegressor,
        FineTuner,
        FewShotClassifier,
        ZeroShotClassifier,
        MultitaskModel,
    }


@pytest.mark.parametrize("estimator", CASES, ids=lambda case: f"{type(case).__name__}-{case.method}")
def test_the_contract_holds(estimator):
    expected = {
        **(TOGETHER if estimator.method in _TRANSDUCTIVE else {}),
        **(ROOTS if estimator.method == "pt_map" else {}),
    }
    with warnings.catch_warnings():
        # the checks give no target, and inputs of their own that scikit-learn warns of
        warnings.simplefilter("ignore")
        found = check_estimator(estimator, expected_failed_checks=expected, on_fail=None)
    wrong = [f"{each['check_name']}: {each['exception']!r}"[:300] for each in found if each["status"] == "failed"]
    assert not wrong
    assert sum(each["status"] == "passed" for each in found) > 35
