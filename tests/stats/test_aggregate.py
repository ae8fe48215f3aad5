import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tlzoo.stats import interquartile_mean, iqm, performance_profile, probability_of_improvement

SCORES = np.random.default_rng(0).normal([[0.2, 0.5, 0.9]], 0.1, size=(10, 3))
OTHER = np.random.default_rng(1).normal([[0.15, 0.5, 0.9]], 0.1, size=(7, 3))


@pytest.mark.parametrize("count", [1, 3, 4, 7, 30])
def test_interquartile_mean_equals_scipys_trimmed_mean(count):
    values = np.random.default_rng(count).exponential(size=count)
    assert interquartile_mean(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25))


def test_iqm_is_of_all_runs_and_its_interval_holds_it():
    found = iqm(SCORES)
    assert float(found.value) == interquartile_mean(SCORES)
    assert found.low < found.value < found.high
    assert iqm(SCORES).low == found.low


def test_runs_are_resampled_within_their_task():
    # tasks far apart, runs equal: the tasks' difference must not widen the interval
    constant = np.tile([0.0, 1.0, 2.0, 3.0], (5, 1))
    found = iqm(constant, resamples=200)
    assert (found.low, found.value, found.high) == (1.5, 1.5, 1.5)


def test_a_profile_is_the_share_above():
    marks = np.linspace(0, 1.2, 7)
    found = performance_profile(SCORES, marks, resamples=200)
    assert found.value.tolist() == pytest.approx([np.mean(mark < SCORES) for mark in marks])
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()
    assert (np.diff(found.value) <= 0).all()


def test_probability_of_improvement_equals_mann_whitney():
    shares = [scipy_stats.mannwhitneyu(a, b).statistic / 70 for a, b in zip(SCORES.T, OTHER.T, strict=True)]
    found = probability_of_improvement(SCORES, OTHER, resamples=500)
    assert float(found.value) == pytest.approx(np.mean(shares))
    assert float(probability_of_improvement(OTHER, SCORES, resamples=10).value) == pytest.approx(1 - np.mean(shares))
    assert found.low < found.value < found.high


def test_ties_count_half():
    assert probability_of_improvement([[1.0]], [[1.0]], resamples=5).value == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: iqm([0.1, 0.2]), r"shape \(2,\); expected \(runs, tasks\)"),
        (lambda: iqm([[0.1, math.nan]]), "hold NaN"),
        (lambda: iqm([[0.1]], level=95), "level is 95"),
        (lambda: interquartile_mean([]), "of no value"),
        (lambda: probability_of_improvement([[1.0]], [[1.0, 2.0]]), "on 1 and 2 tasks"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
