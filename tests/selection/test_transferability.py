"""Transferability scores against their definitions, computed another way."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.metrics import mutual_info_score

from tlzoo.selection import TRANSFERABILITY, gbc, h_score, leep, log_me, nce, trans_rate


def drawn(seed=0, count=60, width=5, classes=3, apart=1.0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centers = apart * random.normal(size=(classes, width))
    return random.normal(size=(count, width)) + centers[labels], labels


@pytest.mark.parametrize("width", [3, 80])
def test_log_me_is_the_maximized_evidence(width):
    features, labels = drawn(count=40, width=width)

    def evidence(logs, y):
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(y)) / beta + features @ features.T / alpha
        return multivariate_normal(np.zeros(len(y)), covariance).logpdf(y) / len(y)

    best = []
    for label in range(3):
        y = (labels == label).astype(float)
        starts = [
            minimize(lambda logs, y=y: -evidence(logs, y), start, method="Nelder-Mead") for start in ([0, 0], [3, 3])
        ]
        best.append(max(-start.fun for start in starts))
    assert log_me(features, labels) == pytest.approx(np.mean(best), abs=2e-3)


def test_h_score_is_the_trace_and_that_of_one_feature_a_correlation_ratio():
    features, labels = drawn(width=1)
    means = np.array([features[labels == label].mean() for label in range(3)])[labels]
    assert h_score(features, labels, shrinkage=0) == pytest.approx(means.var() / features.var())
    features, labels = drawn()
    means = np.array([features[labels == label].mean(axis=0) for label in range(3)])[labels]
    within = np.linalg.solve(np.cov(features.T, ddof=0), np.cov(means.T, ddof=0))
    assert h_score(features, labels, shrinkage=0) == pytest.approx(np.trace(within))
    assert h_score(features, labels, shrinkage=1) == 0
    assert 0 < h_score(features, labels) < h_score(features, labels, shrinkage=0)


def test_trans_rate_is_the_difference_of_log_determinants():
    features, labels = drawn()
    centered = features - features.mean(axis=0)

    def rate(points):
        return 0.5 * np.linalg.slogdet(np.eye(5) + points.T @ points / (len(points) * 1e-2))[1]

    within = np.mean([rate(centered[labels == label]) for label in range(3)])
    assert trans_rate(features, labels, epsilon=1e-2) == pytest.approx(rate(centered) - within)


def test_gbc_is_the_overlap_of_gaussians():
    features, labels = drawn(width=1, classes=2)
    low, high = (features[labels == label] for label in range(2))
    v, w = low.var(), high.var()
    distance = (low.mean() - high.mean()) ** 2 / (4 * (v + w)) + 0.5 * math.log((v + w) / (2 * math.sqrt(v * w)))
    assert gbc(features, labels) == pytest.approx(-2 * math.exp(-distance))
    assert gbc(features, labels, components=None) == pytest.approx(gbc(features, labels))


def test_leep_follows_its_definition():
    random = np.random.default_rng(0)
    theta, labels = random.dirichlet(np.ones(4), size=30), np.arange(30) % 3
    joint = np.array([theta[labels == label].sum(axis=0) for label in range(3)]) / 30
    conditional = joint / joint.sum(axis=0)
    expected = np.mean(
        [np.log(sum(conditional[y, z] * row[z] for z in range(4))) for row, y in zip(theta, labels, strict=True)]
    )
    assert leep(theta, labels) == pytest.approx(expected)


def test_nce_is_minus_the_conditional_entropy():
    random = np.random.default_rng(1)
    theta, labels = random.dirichlet(np.ones(4), size=50), random.integers(0, 3, size=50)
    shares = np.bincount(labels) / 50
    entropy = -(shares * np.log(shares)).sum()
    assert nce(theta, labels) == pytest.approx(mutual_info_score(labels, theta.argmax(axis=1)) - entropy)


@pytest.mark.parametrize("name", sorted(TRANSFERABILITY))
def test_features_that_tell_classes_apart_score_higher(name):
    score = TRANSFERABILITY[name]
    near, far = (drawn(apart=apart)[0] for apart in (0.1, 3.0))
    labels = drawn()[1]
    assert score(far, labels) > score(near, labels)
    assert score(torch.from_numpy(far).half().numpy(), labels) == pytest.approx(score(far, labels), rel=2e-2)
    relabelled = np.array([7, 2, 4])[labels]
    assert score(far, relabelled) == pytest.approx(score(far, labels))


@pytest.mark.parametrize("score", [*TRANSFERABILITY.values(), leep, nce])
@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.ones((4, 2)) / 2, np.zeros(4), "one class alone"),
        (np.ones((4, 2)) / 2, np.array([0, 1, 0]), "expected \\(N, D\\) and \\(N,\\)"),
        (np.full((4, 2), np.nan), np.arange(4) % 2, "NaN or Inf in features \\(row 0\\)"),
        (np.ones((4, 2)) / 2, np.array([0, 1, -1, 0]), "no class indices"),
        (np.ones((4, 2)) / 2, np.array([0, 0.5, 1, 0]), "no class indices"),
    ],
)
def test_mistakes_are_named(score, features, labels, message):
    with pytest.raises(ValueError, match=message):
        score(features, labels)


def test_settings_out_of_range_are_named():
    features, labels = drawn()
    with pytest.raises(ValueError, match="shrinkage 2"):
        h_score(features, labels, shrinkage=2)
    with pytest.raises(ValueError, match="epsilon 0"):
        trans_rate(features, labels, epsilon=0)
    with pytest.raises(ValueError, match="0 components"):
        gbc(features, labels, components=0)
    with pytest.raises(ValueError, match="class 1 has one example"):
        gbc(features[:4], np.array([0, 0, 1, 0]))
    with pytest.raises(ValueError, match="no probabilities"):
        leep(features, labels)


def test_constant_features_have_finite_scores():
    labels = np.arange(10) % 2
    for score in TRANSFERABILITY.values():
        assert math.isfinite(score(np.ones((10, 3)), labels))
