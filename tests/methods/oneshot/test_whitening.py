"""Whitening within classes against its formula in NumPy."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tlzoo.methods.oneshot import WhitenedLogistic, Whitening

BASE = np.random.default_rng(0).normal(size=(24, 4)) * [1, 2, 3, 4] + 1
LABELS = np.repeat(np.arange(8), 3) * 10


@pytest.mark.verdict("oneshot/whitening", against="the formula, in NumPy", within=1e-12)
def test_features_are_whitened_by_the_covariance_within_classes(equal):
    means = np.stack([BASE[label == LABELS].mean(axis=0) for label in LABELS])
    within = (BASE - means).T @ (BASE - means) / (24 - 8)
    values, vectors = np.linalg.eigh(within + 0.5 * np.trace(within) / 4 * np.eye(4))
    expected = (BASE - BASE.mean(axis=0)) @ (vectors / np.sqrt(values)) @ vectors.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    method = Whitening(4, shrinkage=0.5)
    method.fit_base(BASE, LABELS)
    equal(method.transform(torch.from_numpy(BASE)).numpy(), expected)


@pytest.mark.verdict("oneshot/whitened_logistic", against="scikit-learn, on features whitened in NumPy", within=1e-6)
def test_whitened_features_are_classified_by_logistic_regression(equal):
    method = WhitenedLogistic(4, shrinkage=0.5, strength=3.0, steps=2000)
    method.fit_base(BASE, LABELS)
    features = method.transform(torch.from_numpy(BASE)).numpy()
    labels = np.arange(12) % 3
    peer = LogisticRegression(C=3.0, tol=1e-10, max_iter=10_000).fit(features[:12], labels)
    own = method(BASE[:12], labels, BASE[12:], way=3).softmax(dim=-1)
    equal(own.numpy(), peer.predict_proba(features[12:]))


def test_nothing_varies_within_classes():
    with pytest.raises(ValueError, match="give two different examples of a class"):
        Whitening(4).fit_base(BASE, np.arange(24))


def test_before_the_base_set_is_known():
    with pytest.raises(RuntimeError, match="base_mean is not known yet; call fit_base"):
        Whitening(4)(BASE[:2], [0, 1], BASE[2:], way=2)
