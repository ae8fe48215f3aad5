import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tlzoo.selection import SCORES, SOURCE_SCORES, importance_weighted_validation, matrix_norm, scores
from tlzoo.selection.source_validators import (
    deep_embedded_validation,
    density_ratio,
    dev_risk,
    reverse_validation,
    ridge_logits,
)
from tlzoo.selection.validators import class_cluster
from tlzoo.types import Prediction


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_dev_risk_equals_numpy():
    losses, weights = random(9).abs(), random(9, seed=1).abs()
    covariance = np.cov((weights * losses).numpy(), weights.numpy())
    eta = -covariance[0, 1] / covariance[1, 1]
    expected = (weights * losses).mean().item() + eta * weights.mean().item() - eta
    assert dev_risk(losses, weights).item() == pytest.approx(expected)
    assert dev_risk(losses, torch.ones(9).double()).item() == pytest.approx(losses.mean().item())
    with pytest.raises(ValueError, match="N at least 2"):
        dev_risk(losses[:1], weights[:1])


def test_density_ratio_of_two_gaussians():
    source, target = random(4000, 1), random(3000, 1, seed=1) + 1.0
    points = torch.tensor([[-0.5], [0.5], [1.5]], dtype=torch.float64)
    expected = torch.exp(points.squeeze(1) - 0.5)  # N(1, 1) / N(0, 1)
    torch.testing.assert_close(density_ratio(source, target, points), expected, rtol=0.1, atol=0.05)


def test_density_ratio_equals_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    source, target = random(50, 3), random(40, 3, seed=1) + 0.5
    joint = torch.cat([source, target])
    rows = (joint - joint.mean(0)) / joint.std(0)
    fitted = LogisticRegression(C=1.0, tol=1e-10).fit(rows.numpy(), [0] * 50 + [1] * 40)
    expected = np.exp(fitted.decision_function(rows[:5].numpy())) * 50 / 40
    np.testing.assert_allclose(density_ratio(source, target, source[:5]).numpy(), expected, rtol=1e-3)


def test_silhouette_equals_scikit_learn():
    from sklearn.metrics import silhouette_score

    features, logits = random(20, 3), random(20, 4, seed=1)
    expected = silhouette_score(features.numpy(), logits.argmax(dim=1).numpy())
    assert class_cluster(features, logits).item() == pytest.approx(expected)
    assert class_cluster(features, torch.tensor([[1.0, 0.0]]).repeat(20, 1)).item() == 0.0


def test_all_scores_in_one_call():
    logits = random(12, 3)
    source = Prediction(features=random(12, 4), logits=logits, labels=logits.argmax(dim=1))
    wrong = Prediction(features=source.features, logits=logits, labels=logits.argmin(dim=1))
    target = random(10, 4, seed=2), random(10, 3, seed=3)
    found = scores(*target, source)
    assert set(found) == {*SCORES, *SOURCE_SCORES}
    assert set(scores(*target)) == set(SCORES)
    assert found["source_risk"].item() == pytest.approx(-F.cross_entropy(logits, source.labels).item())
    assert found["source_risk"] > scores(*target, wrong)["source_risk"]
    assert found["mmd"] < 0
    with pytest.raises(ValueError, match="the source has no labels"):
        deep_embedded_validation(Prediction(features=source.features, logits=logits), source)


@pytest.mark.parametrize("shape", [(30, 4), (6, 12)])
def test_the_way_back_is_ridge_regression_to_one_hot_labels(shape):
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    features, points = 3 * random(*shape) + 1, random(9, shape[1], seed=1)
    labels = torch.arange(shape[0]) % 3
    scaler = StandardScaler().fit(features.numpy())
    wanted = F.one_hot(labels, 4).double().numpy()
    ridge = Ridge(alpha=0.7 * len(features)).fit(scaler.transform(features.numpy()), wanted)
    found = ridge_logits(features, labels, points, num_classes=4, penalty=0.7)
    np.testing.assert_allclose(found.numpy(), ridge.predict(scaler.transform(points.numpy())), atol=1e-10)


def test_reverse_validation_sees_what_was_lost_on_the_way():
    labels = torch.arange(60) % 3
    centers = 5 * torch.eye(3).double()
    features = centers[labels] + 0.5 * random(60, 3)
    source = Prediction(features=features, logits=features, labels=labels)
    right = Prediction(features=centers[labels] + 0.5 * random(60, 3, seed=1), logits=3 * centers[labels])
    collapsed = Prediction(features=right.features, logits=3 * centers[torch.zeros(60).long()])
    turned = Prediction(features=right.features, logits=3 * centers[(labels + 1) % 3])
    assert reverse_validation(source, right).item() == 1.0
    assert reverse_validation(source, collapsed).item() == pytest.approx(1 / 3)
    assert reverse_validation(source, turned).item() == 0.0
    with pytest.raises(ValueError, match="has no labels"):
        reverse_validation(right, source)
    with pytest.raises(ValueError, match="no target predictions"):
        reverse_validation(source, Prediction(features=features[:0], logits=features[:0]))


def test_reverse_validation_of_a_class_that_only_one_side_has():
    features = random(8, 3)
    source = Prediction(features=features, logits=features, labels=torch.full((8,), 5))
    assert reverse_validation(source, Prediction(features=features, logits=features)).item() == 0.0


def test_importance_weighted_validation_is_the_weighted_risk():
    source = Prediction(features=random(40, 3), logits=random(40, 4, seed=1), labels=torch.arange(40) % 4)
    target = Prediction(features=random(30, 3, seed=2) + 0.5, logits=random(30, 4, seed=3))
    weights = density_ratio(source.features[::2], target.features, source.features[1::2])
    chances = source.logits[1::2].softmax(1)[torch.arange(20), source.labels[1::2]]
    expected = (weights * chances.log()).mean()
    torch.testing.assert_close(importance_weighted_validation(source, target), expected)
    alike = Prediction(features=source.features[::2], logits=source.logits[::2])  # nothing shifted: the plain risk
    risk = F.cross_entropy(source.logits[1::2], source.labels[1::2])
    torch.testing.assert_close(importance_weighted_validation(source, alike), -risk, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="four or more"):
        importance_weighted_validation(Prediction(features=random(2, 3), logits=random(2, 4), labels=[0, 1]), target)
    with pytest.raises(ValueError, match="no labels"):
        importance_weighted_validation(target, target)


@pytest.mark.parametrize("scale", [0.5, 30.0])
def test_the_matrix_norm_is_the_authors(scale):
    logits = scale * random(20, 5)
    uniform = F.cross_entropy(logits, torch.full_like(logits, 1 / 5))
    assert bool(uniform > 5) is (scale > 1)
    rows = []
    for row in logits:
        values = torch.tensor([1 + z + z**2 / 2 for z in row.tolist()]).double()
        values = row.exp() if scale > 1 else values - values.min()
        rows.append(values / values.sum())
    expected = torch.norm(torch.stack(rows), p=4) / (20 * 5) ** (1 / 4)
    torch.testing.assert_close(matrix_norm(logits), expected)
    with pytest.raises(ValueError, match="no predictions"):
        matrix_norm(logits[:0])
    with pytest.raises(ValueError, match="order"):
        matrix_norm(logits, order=0.5)
