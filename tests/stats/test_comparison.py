import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tlzoo.stats import average_ranks, paired_difference

FIRST, SECOND = np.random.default_rng(0).normal([[0.4], [0.0]], 1.0, size=(2, 8))


def test_paired_test_equals_scipy():
    result = paired_difference(FIRST, SECOND)
    reference = scipy_stats.ttest_rel(FIRST, SECOND)
    assert result.p_value == pytest.approx(reference.pvalue, rel=1e-12)
    interval = reference.confidence_interval(0.95)
    assert (result.difference.low, result.difference.high) == pytest.approx(tuple(interval))
    assert result.tied == (reference.pvalue > 0.05)


def test_order_of_the_pair_turns_the_sign_only():
    one, other = paired_difference(FIRST, SECOND), paired_difference(SECOND, FIRST)
    assert one.difference.mean == pytest.approx(-other.difference.mean)
    assert one.p_value == pytest.approx(other.p_value)


@pytest.mark.parametrize(
    ("first", "second", "p_value", "tied"),
    [
        ([1.0, 2.0], [1.0, 2.0], 1.0, True),
        ([1.1, 2.1, 3.1], [1.0, 2.0, 3.0], 0.0, False),
        ([1.0], [1.0], math.nan, True),
        ([1.0], [0.5], math.nan, False),
        ([], [], math.nan, True),
        ([1.0, math.nan], [1.0, 2.0], math.nan, True),
    ],
)
def test_degenerate_pairs(first, second, p_value, tied):
    result = paired_difference(first, second)
    assert result.p_value == pytest.approx(p_value, nan_ok=True)
    assert result.tied is tied


def test_pairs_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        paired_difference([1, 2], [1, 2, 3])


def test_ranks_equal_scipy_with_ties():
    scores = np.random.default_rng(1).integers(0, 4, size=(20, 6)).astype(float)
    expected = np.mean([scipy_stats.rankdata(-row) for row in scores], axis=0)
    np.testing.assert_allclose(average_ranks(scores), expected)
    expected = np.mean([scipy_stats.rankdata(row) for row in scores], axis=0)
    np.testing.assert_allclose(average_ranks(scores, better="lower"), expected)


def test_a_missing_score_ranks_last_or_drops_its_task():
    scores = [[0.9, math.nan, math.nan], [0.1, 0.2, 0.3]]
    assert average_ranks(scores).tolist() == [2.0, 2.25, 1.75]
    assert average_ranks(scores, missing="drop").tolist() == [3.0, 2.0, 1.0]
    assert np.isnan(average_ranks([[math.nan, 1.0]], missing="drop")).all()


def test_ranks_need_a_table():
    with pytest.raises(ValueError, match=r"expected \(tasks, methods\)"):
        average_ranks([1.0, 2.0])
