"""Methods on arrays in a regression, against their formulas."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tlzoo.estimators import DomainRegressor
from tlzoo.methods.adaptation import CORAL, JDA, JDOT, KMM, RSD, LinearClassifier
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.nn.ridge_regression import RidgeRegression
from tlzoo.scoring import RegressionScores
from tlzoo.selection.source_validators import negative_source_risk
from tlzoo.types import Prediction


def draw(count=40, seed=0):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 3)))
    return x, torch.stack([200 + 30 * x[:, 0], 0.01 * x[:, 1] - 0.02 * x[:, 2]], dim=1)


def test_ridge_regression_is_scikit_learns():
    x, y = draw()
    weights = torch.from_numpy(np.random.default_rng(1).uniform(0.1, 2, size=len(x)))
    ours = RidgeRegression(3, 2, penalty=5.0).double().fit(x, y, weights)
    theirs = Ridge(alpha=5.0).fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
    np.testing.assert_allclose(ours(x).numpy(), theirs.predict(x.numpy()), rtol=1e-9)


def test_its_penalty_leaves_out_least():
    random = np.random.default_rng(3)
    x, y = draw(15)
    y = y + torch.from_numpy(random.normal(size=(15, 2))) * y.std(dim=0)
    errors = []
    for penalty in RidgeRegression.penalties:
        left = [np.delete(np.arange(15), row) for row in range(15)]
        said = [
            Ridge(alpha=penalty).fit(x[rest].numpy(), y[rest].numpy()).predict(x[row : row + 1].numpy())[0]
            for row, rest in enumerate(left)
        ]
        errors.append(float(((np.array(said) - y.numpy()) ** 2 / y.numpy().var(axis=0)).mean()))
    best = RidgeRegression.penalties[int(np.argmin(errors))]
    chosen, fixed = (RidgeRegression(3, 2, penalty=p).double().fit(x, y) for p in (None, best))
    torch.testing.assert_close(chosen.weight, fixed.weight)


def test_jdot_brings_values_to_the_target():
    """The objective is never below that of its last plan, whose values do not depend on their unit."""
    x, y = draw()
    target = x.flip(0) + 0.05
    method = JDOT(3, 2, rounds=30).double().fit(x, target, y)
    values = method.training_examples(x, y, target, weighted=True).labels
    assert values.shape == (40, 2)
    # a near copy of the source gets the values of its original
    torch.testing.assert_close(values, y.flip(0), rtol=0.02, atol=1e-3)
    again = JDOT(3, 2, rounds=30).double().fit(x, target, y * 1000 + 7)
    torch.testing.assert_close(again.probabilities, values * 1000 + 7)


def test_jdot_minimizes_the_joint_cost():
    """Of two points each, the plan weighs features against values as the formula says."""
    source, target = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[0.1], [1.1]]).double()
    labels = torch.tensor([[-1.0], [1.0]]).double()
    method = JDOT(1, 1, standardize=False, penalty=1e-3).double().fit(source, target, labels)
    torch.testing.assert_close(method.probabilities, labels)


@pytest.mark.parametrize("method", ["linear_classifier", "coral", "kmm", "jdot", "ot_mapping", "tca"])
def test_methods_on_features_regress(method):
    x, y = draw(60)
    settings = {"tca": {"dimensions": 3}}.get(method)
    model = DomainRegressor(method, method_settings=settings, random_state=0).fit(x, y, X_target=x + 0.01)
    assert model.predict(x).shape == (60, 2)
    assert model.score(x + 0.01, y) > (0.5 if method == "tca" else 0.9)  # tca keeps directions of rows of length one


def test_the_baseline_is_ridge_on_prepared_features():
    x, y = draw()
    method = LinearClassifier(3, 2, preparation="standardized", penalty=2.0)
    model = AlignedClassifier(method, regression=True).double().fit(x, y, None)
    scaled = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
    theirs = Ridge(alpha=2.0).fit(scaled.numpy(), y.numpy())
    np.testing.assert_allclose(model(x).numpy(), theirs.predict(scaled.numpy()), rtol=1e-9)


def test_weights_reach_the_regression():
    x, y = draw()
    y = y + torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * y.std(dim=0)
    method = KMM(3, 2)
    model = AlignedClassifier(method, regression=True, penalty=1.0).double().fit(x, y, x[:10] + 1)
    mapped = method.transform_source(x).numpy()
    theirs = Ridge(alpha=1.0).fit(mapped, y.numpy(), sample_weight=method.weights.numpy())
    np.testing.assert_allclose(model(x).numpy(), theirs.predict(method.transform_target(x).numpy()), rtol=1e-6)


POINTS, VALUES = draw()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DomainRegressor("mcc").fit(POINTS, VALUES, X_target=POINTS), "adaptation/mcc needs classes"),
        (lambda: AlignedClassifier(JDA(3, 2), regression=True), "adaptation/jda needs classes"),
        (lambda: DomainRegressor().fit(POINTS, VALUES.numpy() * np.nan, X_target=POINTS), "NaN"),
        (lambda: DomainRegressor().fit(POINTS, ["cold"] * 40, X_target=POINTS), "numeric"),
        (
            lambda: AlignedClassifier(CORAL(3, 2), regression=True).fit(POINTS, torch.arange(40) % 2, POINTS),
            "are classes",
        ),
        (lambda: AlignedClassifier(CORAL(3, 2)).fit(POINTS, VALUES, POINTS), r"labels are numbers \(N, T\)"),
        (lambda: AlignedClassifier(CORAL(3, 2), regression=True, penalty="cross_validated"), "leave-one-out"),
        (
            lambda: AlignedClassifier(LinearClassifier(3, 2, classifier="logistic"), regression=True),
            "a regression takes 'ridge'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value).strip()


def test_rsd_leaves_out_rows_that_depend_on_others():
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    doubled = torch.cat([rows, rows[:1], 2 * rows[1:2]]).requires_grad_()
    other = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    sides = [Prediction(features=each, logits=torch.zeros(len(each), 1)) for each in (doubled, rows, other)]
    method = RSD(8, 1, mismatch_weight=0.0)
    found = method(sides[0], sides[2])["loss"]
    torch.testing.assert_close(found, method(sides[1], sides[2])["loss"])
    found.backward()
    assert doubled.grad.isfinite().all()


def test_scores_are_scikit_learns():
    random = np.random.default_rng(0)
    labels, answers = random.normal(size=(20, 2)) * [10, 1], random.normal(size=(20, 2))
    scores = RegressionScores(["warmth", "rain"], ranges=[40.0, 5.0])
    scores.update(torch.from_numpy(answers[:7]), torch.from_numpy(labels[:7]))
    scores.update(torch.from_numpy(answers[7:]), torch.from_numpy(labels[7:]))
    found = scores.compute()
    errors = mean_absolute_error(labels, answers, multioutput="raw_values")
    assert found["r2"] == pytest.approx(r2_score(labels, answers))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(labels, answers))
    assert found["mae"] == pytest.approx(errors.mean())
    assert found["normalized_mae"] == pytest.approx(errors[0] / 40 + errors[1] / 5)
    assert found["rain/mae"] == pytest.approx(errors[1])
    labels[0] = np.nan  # unknown
    assert scores.of(torch.from_numpy(answers), torch.from_numpy(labels))["rain/mae"] == pytest.approx(
        np.abs(answers - labels)[1:, 1].mean()
    )


def test_the_source_risk_of_values_counts_in_their_variance():
    labels = torch.tensor([[0.0], [2.0]])
    source = Prediction(features=torch.zeros(2, 1), logits=labels + 3, labels=labels)
    assert negative_source_risk(source) == pytest.approx(-9.0)
