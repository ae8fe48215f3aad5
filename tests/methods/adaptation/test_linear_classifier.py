"""The tuned linear baseline: preparations by their formulas, and the ridge against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tlzoo.methods.adaptation import LinearClassifier
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.nn.ridge import RidgeClassifier

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(3, size=60)
SOURCE = RANDOM.normal(size=(60, 20)) + 0.7 * np.eye(20)[LABELS] + 0.5


def as_tensors():
    return torch.from_numpy(SOURCE), torch.from_numpy(LABELS)


def test_the_ridge_is_that_of_scikit_learn():
    features, labels = as_tensors()
    ours = RidgeClassifier(20, 3, penalty=7.0).double().fit(features, labels)
    theirs = Ridge(alpha=7.0).fit(SOURCE, np.eye(3)[LABELS])
    np.testing.assert_allclose(ours(features).numpy(), theirs.predict(SOURCE), atol=1e-10)


def test_leave_one_out_is_what_leaving_out_gives():
    features, labels = as_tensors()
    answers = {}
    for penalty in RidgeClassifier.penalties:
        rest = [np.arange(60) != i for i in range(60)]
        said = [Ridge(alpha=penalty).fit(SOURCE[r], np.eye(3)[LABELS[r]]).predict(SOURCE[~r])[0] for r in rest]
        answers[penalty] = float((np.argmax(said, axis=1) == LABELS).mean())
    best = max(answers.values())
    error = (best * (1 - best) / 60) ** 0.5
    expected = max(penalty for penalty, accuracy in answers.items() if accuracy >= best - error)
    chosen = RidgeClassifier(20, 3).double().fit(features, labels)
    fixed = RidgeClassifier(20, 3, penalty=expected).double().fit(features, labels)
    torch.testing.assert_close(chosen.weight, fixed.weight)


def test_a_class_without_examples_is_never_answered():
    features, labels = as_tensors()
    scores = RidgeClassifier(20, 5).double().fit(features, labels)(100 * features)
    assert set(scores.argmax(dim=1).tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("preparation", "expected"),
    [
        ("scaled", SOURCE / SOURCE.std()),
        ("root", (roots := np.sign(SOURCE) * np.sqrt(np.abs(SOURCE))) / roots.std()),
        ("L2N", SOURCE / np.linalg.norm(SOURCE, axis=1, keepdims=True) * 20**0.5),
        ("CL2N", (c := SOURCE - SOURCE.mean(0)) / np.linalg.norm(c, axis=1, keepdims=True) * 20**0.5),
        ("standardized", (SOURCE - SOURCE.mean(0)) / SOURCE.std(0)),
    ],
)
def test_preparations(preparation, expected):
    method = LinearClassifier(20, 3, preparation=preparation).double().fit(SOURCE, None)
    np.testing.assert_allclose(method.transform_target(SOURCE).numpy(), expected, rtol=1e-6)
    assert 0.5 < np.square(expected).mean() < 2


@pytest.mark.verdict("adaptation/linear_classifier", against="scikit-learn's ridge on roots of features", within=1e-9)
def test_the_whole_is_a_ridge_on_prepared_features(equal):
    features, labels = as_tensors()
    ours = AlignedClassifier(LinearClassifier(20, 3, penalty=7.0)).double().fit(features, labels, None)
    roots = np.sign(SOURCE) * np.sqrt(np.abs(SOURCE))
    theirs = Ridge(alpha=7.0).fit(roots / roots.std(), np.eye(3)[LABELS])
    new = RANDOM.normal(size=(9, 20))
    prepared = np.sign(new) * np.sqrt(np.abs(new)) / roots.std()
    equal(ours(torch.from_numpy(new)).numpy(), theirs.predict(prepared))


@pytest.mark.parametrize("settings", [{}, {"classifier": "logistic"}, {"penalty": 3.0}])
def test_it_learns_from_the_source_alone(settings):
    features, labels = (part.float() if part.is_floating_point() else part for part in as_tensors())
    models = [
        AlignedClassifier(LinearClassifier(20, 3, **settings)).fit(features, labels, target)
        for target in (None, 9 * features)
    ]
    answers = [model(features) for model in models]
    assert torch.equal(*answers)
    assert (answers[0].argmax(dim=1) == labels).float().mean() > 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"penalty": -1.0}, "penalty -1"), ({"preparation": "l2"}, "unknown preparation 'l2'; expected scaled, root")],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        LinearClassifier(20, 3, **settings)
