import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tlzoo.stats import holm, paired_bootstrap, wilcoxon

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("count", [3, 5, 12, 30])
def test_wilcoxon_without_ties_equals_scipy(count):
    first, second = RANDOM.normal([[0.3], [0.0]], 1.0, size=(2, count))
    assert wilcoxon(first, second) == pytest.approx(scipy_stats.wilcoxon(first, second, method="exact").pvalue)


def test_wilcoxon_of_many_equals_scipys_approximation():
    first, second = RANDOM.integers(0, 30, size=(2, 80)).astype(float)
    reference = scipy_stats.wilcoxon(first, second, method="asymptotic", correction=False)
    assert wilcoxon(first, second) == pytest.approx(reference.pvalue, rel=1e-9)


def test_wilcoxon_is_exact_with_ties_too():
    difference = np.array([1.0, 1.0, -1.0, 2.0, 2.0, 3.0])
    ranks = scipy_stats.rankdata(np.abs(difference))
    signs = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1)  # all 64 choices of signs
    sums = ranks @ signs
    observed = min(ranks[difference > 0].sum(), ranks[difference < 0].sum())
    assert wilcoxon(difference, np.zeros(6)) == pytest.approx(2 * np.mean(sums <= observed))


def test_wilcoxon_by_hand():
    # five differences of one sign: 2 of 2^5 choices of signs are as extreme
    assert wilcoxon([1, 2, 3, 4, 5], [0] * 5) == 2 / 32
    # what is equal but for rounding is a tie, not a small rank
    assert wilcoxon([0.1 + 0.2, 1.0], [0.3, 0.0]) == 1.0
    assert wilcoxon([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert math.isnan(wilcoxon([], []))
    assert wilcoxon([1.0, math.nan, 2.0], [0.0, 0.0, 0.0]) == 0.5
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(2,\)"):
        wilcoxon([1.0], [1.0, 2.0])


def test_paired_bootstrap_agrees_with_scipys_interval_and_the_t_test():
    first, second = np.random.default_rng(5).normal([[0.3], [0.0]], 1.0, size=(2, 60))
    found = paired_bootstrap(first, second)
    reference = scipy_stats.bootstrap(
        (first - second,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(reference), abs=0.02)
    assert found.difference.method == "bootstrap"
    assert found.p_value == pytest.approx(scipy_stats.ttest_rel(first, second).pvalue, abs=0.02)
    assert paired_bootstrap(first, second) == found


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        ([1.0, 2.0], [1.0, 2.0], 1.0),
        ([1.1, 2.1, 3.1], [1.0, 2.0, 3.0], 1 / 10_001),
        ([1.0], [0.0], math.nan),
        ([1.0, math.nan], [0.0, 0.0], math.nan),
    ],
)
def test_degenerate_pairs_of_the_bootstrap(first, second, p_value):
    assert paired_bootstrap(first, second).p_value == pytest.approx(p_value, nan_ok=True)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    mixed = holm([0.02, math.nan, 0.03])
    assert mixed[[0, 2]].tolist() == [0.04, 0.04]
    assert math.isnan(mixed[1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.5])


def test_holm_equals_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    values = RANDOM.uniform(size=12) ** 3
    np.testing.assert_allclose(holm(values), multitest.multipletests(values, method="holm")[1])
