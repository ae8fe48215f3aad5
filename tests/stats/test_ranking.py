import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tlzoo.stats import friedman

SCORES = np.random.default_rng(0).normal([[0.0, 0.2, 0.9, 1.0]], 0.5, size=(12, 4))
TIED = np.random.default_rng(1).integers(0, 4, size=(15, 5)).astype(float)


@pytest.mark.parametrize("scores", [SCORES, TIED])
def test_friedman_equals_scipy(scores):
    found, reference = friedman(scores), scipy_stats.friedmanchisquare(*scores.T)
    assert (found.statistic, found.p_value) == pytest.approx((reference.statistic, reference.pvalue))
    assert found.ranks == pytest.approx(tuple(np.mean([scipy_stats.rankdata(-row) for row in scores], axis=0)))


def test_critical_difference_equals_the_table_of_the_paper():
    # Demsar (2006), table 5: q at 0.05 for 2 to 10 methods
    table = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for methods, quantile in enumerate(table, start=2):
        scores = np.random.default_rng(methods).uniform(size=(14, methods))
        expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 14))
        assert friedman(scores).critical_difference == pytest.approx(expected, rel=1e-3)


def test_what_is_apart_equals_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    for scores in (SCORES, TIED):
        found = friedman(scores)
        p_values = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
        for one in range(scores.shape[1]):
            for other in range(one):
                close = abs(found.ranks[one] - found.ranks[other]) <= found.critical_difference
                assert close == (p_values[one, other] > 0.05)
                together = any({one, other} <= set(clique) for clique in found.cliques)
                assert together == close
                assert found.apart(one, other) == (not close and found.p_value <= 0.05)


def test_a_task_with_a_gap_is_left_out():
    gap = SCORES.copy()
    gap[3, 1] = math.nan
    assert friedman(gap) == friedman(np.delete(gap, 3, axis=0))
    assert friedman(gap).tasks == 11


def test_lower_may_be_better():
    assert friedman(SCORES, better="lower") == friedman(-SCORES)


def test_equal_methods_are_never_apart():
    found = friedman(np.ones((6, 3)))
    assert found.ranks == (2.0, 2.0, 2.0)
    assert math.isnan(found.p_value)
    assert found.cliques == ((0, 1, 2),)
    assert not found.apart(0, 1)


def test_no_task_is_no_ranking():
    found = friedman(np.full((2, 3), math.nan))
    assert found.tasks == 0
    assert all(map(math.isnan, (*found.ranks, found.statistic, found.critical_difference)))
    assert found.cliques == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [1.0, 2.0]}, "expected \\(tasks, methods\\)"),
        ({"scores": [[1.0], [2.0]]}, "two methods or more"),
        ({"scores": SCORES, "level": 5}, "level is 5"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        friedman(**arguments)
