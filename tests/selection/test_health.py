import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tlzoo.selection.health import effective_rank, health, prediction_diversity, proxy_a_distance


def points(count, shift=0.0, seed=0, width=5):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift


def test_domains_that_are_one_have_no_distance_and_far_ones_the_greatest():
    assert proxy_a_distance(points(300), points(300, seed=1)) < 0.35
    assert proxy_a_distance(points(300), points(300, 9.0, seed=1)) == 2.0
    near, far = (proxy_a_distance(points(300), points(300, shift, seed=1)) for shift in (0.3, 1.0))
    assert 0 < near < far < 2


def test_it_is_the_error_of_a_weighted_ridge_regression():
    source, target = points(41, seed=2), points(60, 0.5, seed=3)
    fitted = torch.cat([source[::2], target[::2]]).double().numpy()
    mean, deviation = fitted.mean(axis=0), fitted.std(axis=0, ddof=1)
    scaled = np.c_[(fitted - mean) / deviation, np.ones(len(fitted))]
    counts = [len(source[::2]), len(target[::2])]
    signs, weights = np.repeat([1.0, -1.0], counts), np.repeat([1 / n for n in counts], counts)
    ridge = Ridge(alpha=1 / len(fitted), fit_intercept=False).fit(scaled, signs, sample_weight=weights)
    errors = []
    for side, sign in ((source[1::2], 1), (target[1::2], -1)):
        rows = np.c_[(side.double().numpy() - mean) / deviation, np.ones(len(side))]
        errors.append(np.mean(np.sign(ridge.predict(rows)) != sign))
    assert proxy_a_distance(source, target) == pytest.approx(2 * (1 - 2 * np.mean(errors)))


@pytest.mark.parametrize("counts", [(3, 50), (50, 0)])
def test_a_few_points_have_no_distance(counts):
    assert math.isnan(proxy_a_distance(points(counts[0]), points(counts[1])))


def test_constant_features_are_told_apart_by_nothing():
    assert proxy_a_distance(torch.ones(20, 3), torch.ones(20, 3)) == 0.0
    assert effective_rank(torch.ones(20, 3)) == 0.0


def test_the_rank_counts_directions():
    assert effective_rank(points(400, width=6)) == pytest.approx(6, abs=0.1)
    line = points(50, width=1) @ torch.ones(1, 7)
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)


def test_answers_of_one_class_are_no_spread():
    assert prediction_diversity(torch.eye(3)[[1, 1, 1, 1]]) == 0.0
    assert prediction_diversity(torch.eye(3)[[0, 1, 2]]) == 1.0
    assert prediction_diversity(torch.ones(4, 1)) == 1.0
    even, odd = prediction_diversity(torch.eye(2)[[0, 0, 1, 1]]), prediction_diversity(torch.eye(2)[[0, 0, 0, 1]])
    assert 0 < odd < even == 1.0


def test_signs_by_name_without_a_draw():
    before = torch.get_rng_state()
    found = health(points(600), points(600, width=4), points(20))
    assert set(found) == {"diversity", "rank", "a_distance"}
    assert set(health(points(9), points(9, width=4))) == {"diversity", "rank"}
    assert torch.equal(before, torch.get_rng_state())
