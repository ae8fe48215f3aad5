"""Whitening within classes against its formula in NumPy."""

import numpy as np
import pytest
import torch

from tlzoo.methods.oneshot import Whitening

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


def test_nothing_varies_within_classes():
    with pytest.raises(ValueError, match="give two different examples of a class"):
        Whitening(4).fit_base(BASE, np.arange(24))


def test_before_the_base_set_is_known():
    with pytest.raises(RuntimeError, match="base_mean is not known yet; call fit_base"):
        Whitening(4)(BASE[:2], [0, 1], BASE[2:], way=2)
