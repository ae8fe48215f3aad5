"""Intervals over runs and examples together: against the formulas by loops, and by simulation."""

import math

import numpy as np
import pytest

from tlzoo.stats import by_cluster, crossed_difference, crossed_summary, paired_difference, summary

RANDOM = np.random.default_rng(0)


def test_the_variance_is_that_of_a_two_way_layout():
    table = RANDOM.normal(size=(4, 9)) + RANDOM.normal(size=(4, 1)) + RANDOM.normal(size=9)
    runs, clusters = table.shape
    mean = table.mean()
    of_runs = clusters * sum((row.mean() - mean) ** 2 for row in table) / (runs - 1)
    of_clusters = runs * sum((column.mean() - mean) ** 2 for column in table.T) / (clusters - 1)
    rest = sum(
        (table[i, j] - table[i].mean() - table[:, j].mean() + mean) ** 2 for i in range(runs) for j in range(clusters)
    ) / ((runs - 1) * (clusters - 1))
    total = of_runs + of_clusters - rest
    parts = [(of_runs, runs - 1), (of_clusters, clusters - 1), (rest, (runs - 1) * (clusters - 1))]
    degrees = total**2 / sum(part**2 / free for part, free in parts)
    from scipy.stats import t

    found = crossed_summary(table)
    assert found.half_width == pytest.approx(t.ppf(0.975, degrees) * math.sqrt(total / (runs * clusters)))
    assert found.mean == pytest.approx(mean)
    assert found.std == pytest.approx(table.mean(axis=1).std(ddof=1))


def test_runs_that_say_the_same_are_one():
    row = RANDOM.integers(2, size=50).astype(float)
    one, repeated = crossed_summary([row]), crossed_summary([row] * 5)
    assert (one.low, one.high) == pytest.approx((repeated.low, repeated.high))
    assert one.half_width == pytest.approx(summary(row, method="t").half_width)


def test_clusters_count_by_their_examples():
    figures, clusters = RANDOM.integers(2, size=(3, 40)), RANDOM.integers(8, size=40)
    table = by_cluster(figures, clusters)
    assert table.shape == (3, len(np.unique(clusters)))
    np.testing.assert_allclose(table.mean(axis=1), figures.mean(axis=1))
    alike = np.repeat(RANDOM.integers(2, size=(1, 10)), 5, axis=1)  # every example five times
    wide, narrow = crossed_summary(by_cluster(alike, np.repeat(np.arange(10), 5))), crossed_summary(alike)
    assert wide.half_width > 2 * narrow.half_width
    sizes = np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6])
    assert crossed_summary(by_cluster(np.ones((2, 21)), sizes)).half_width == pytest.approx(0)


def test_differences_are_paired():
    base = RANDOM.integers(2, size=(4, 60)).astype(float)
    better = base.copy()
    better[:, ::10] = 1.0
    found = crossed_difference(better, base)
    assert found.difference.mean == pytest.approx((better - base).mean())
    assert found.difference.half_width < crossed_summary(base).half_width
    assert not found.tied
    assert crossed_difference(base, base).p_value == 1.0
    assert crossed_difference(better, base[:1]).difference.n == 4
    single = crossed_difference(better[:1], base[:1])
    assert single.p_value == pytest.approx(paired_difference(better[0], base[0]).p_value)
    with pytest.raises(ValueError, match="expected the same runs and clusters"):
        crossed_difference(better, base[:, :5])


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_interval_covers_what_it_says(spread):
    """Of 300 samples of 5 runs on 60 examples, about 95 % hold the mean of all runs on all examples."""
    random, inside = np.random.default_rng(1), 0
    for _ in range(300):
        table = random.normal(size=60) + spread * random.normal(size=(5, 1)) + random.normal(size=(5, 60))
        found = crossed_summary(table)
        inside += found.low <= 0 <= found.high
    assert 0.915 < inside / 300 < 0.985


def test_refusals():
    for wrong in ([], [1.0], [[math.nan, 1.0]]):
        with pytest.raises(ValueError, match="figures"):
            crossed_summary(wrong)
    with pytest.raises(ValueError, match="expected one per example"):
        by_cluster([[1.0, 0.0]], [1])
