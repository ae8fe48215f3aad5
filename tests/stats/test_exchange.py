import sys
from pathlib import Path

import numpy as np
import pytest

from tlzoo.stats import Answers, choose_form, exchange_rates, fit_shot_curves
from tlzoo.stats.shot_curve import monotone

SHOTS = np.array([1, 2, 3, 4, 6, 8, 12])


def test_isotonic_regression_is_scikit_learns():
    from sklearn.isotonic import isotonic_regression

    rows = np.random.default_rng(0).normal(size=(50, 7)) + 0.3 * np.arange(7)
    np.testing.assert_allclose(monotone(rows), [isotonic_regression(row) for row in rows], atol=1e-12)


def test_a_power_law_is_found_and_inverted():
    curve = fit_shot_curves(SHOTS, (1 - 0.7 * SHOTS**-0.3)[None], "power_law")
    np.testing.assert_allclose(np.exp(curve.law[0, 0]), 0.7)
    np.testing.assert_allclose(curve.law[0, 1], 0.3)
    for shots in (1.0, 1.7, 5.0, 12.0):
        np.testing.assert_allclose(curve.shots_at(float(curve.at([shots])[0, 0])), shots)


@pytest.mark.parametrize("form", ["isotonic", "power_law"])
def test_outside_of_the_curve_nothing_is_extrapolated(form):
    curve = fit_shot_curves(SHOTS, (1 - 0.7 * SHOTS**-0.3)[None], form)
    assert curve.shots_at(0.2)[0] == -np.inf
    assert curve.shots_at(0.9)[0] == np.inf
    with pytest.raises(ValueError, match="not extrapolated"):
        curve.at([13.0])


def test_a_flat_stretch_is_reached_at_its_beginning():
    curve = fit_shot_curves([1, 2, 4, 8], np.array([[0.2, 0.5, 0.5, 0.6]]), "isotonic")
    assert curve.shots_at(0.5)[0] == 2.0
    assert curve.shots_at(0.2)[0] == 1.0


def test_isotonic_inversion_is_monotone_and_inside():
    rows = np.random.default_rng(1).normal(size=(40, 7)) * 0.05 + 0.1 * np.log(SHOTS)
    curve = fit_shot_curves(SHOTS, rows, "isotonic")
    worth = np.stack([curve.shots_at(height) for height in np.linspace(-0.2, 0.5, 60)])
    assert (np.diff(np.nan_to_num(worth, neginf=0, posinf=99), axis=0) >= -1e-9).all()
    inside = np.isfinite(worth)
    assert ((worth[inside] >= 1) & (worth[inside] <= 12)).all()


def test_the_form_that_predicts_left_out_points_is_chosen():
    assert choose_form(SHOTS, 1 - 0.7 * SHOTS**-0.3) == "power_law"
    assert choose_form(SHOTS, np.array([0.1, 0.1, 0.5, 0.52, 0.53, 0.53, 0.54])) == "isotonic"
    assert choose_form([1, 2, 3], np.array([0.3, 0.4, 0.5])) == "isotonic"


@pytest.mark.parametrize("shots", [[1], [2, 1], [0, 1]])
def test_numbers_of_examples_are_checked(shots):
    with pytest.raises(ValueError, match="increasing from 1"):
        fit_shot_curves(shots, np.zeros((1, len(shots))), "isotonic")


def answers(**changes):
    total = np.full((2, 4), 10.0)
    curve = np.full((2, 3, 3, 4), 1.0) * np.array([3.0, 5.0, 8.0])[:, None]
    ways = {"two": np.full((2, 1, 4), 5.0), "none": np.full((2, 2, 4), 1.0), "all": np.full((2, 1, 4), 10.0)}
    return Answers(**{"shots": [1, 2, 4], "curve": curve, "ways": ways, "total": total, "draws": [0, 1], **changes})


def test_rates_of_answers_without_noise():
    found = exchange_rates(answers(), resamples=50)
    assert list(found.rates) == ["all", "two", "none"]
    assert (found.rates["two"].worth, found.rates["two"].low, found.rates["two"].high) == (2.0, 2.0, 2.0)
    assert found.rates["all"].worth == np.inf
    assert found.rates["none"].high == -np.inf
    assert found.above["two", "none"] == 1.0
    np.testing.assert_allclose(found.measured, [0.3, 0.5, 0.8])


def test_units_that_a_draw_lacks_do_not_count():
    ways = {"two": np.array([[[5.0, 5.0, 5.0, 0.0]], [[0.0, 5.0, 5.0, 5.0]]])}
    total = np.array([[10.0, 10.0, 10.0, 0.0], [0.0, 10.0, 10.0, 10.0]])
    curve = total[:, None, None] / 10 * np.ones((2, 3, 3, 4)) * np.array([3.0, 5.0, 8.0])[:, None]
    found = exchange_rates(answers(ways=ways, total=total, curve=curve), resamples=50)
    assert found.rates["two"].accuracy == pytest.approx(0.5)
    assert found.rates["two"].worth == pytest.approx(2.0)


def test_rates_do_not_depend_on_the_order_of_ways_and_repeat():
    ways = answers().ways
    one = exchange_rates(answers(ways={"two": ways["two"]}), resamples=50, seed=3)
    assert one.rates == exchange_rates(answers(ways={"two": ways["two"]}), resamples=50, seed=3).rates


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="expected \\(2, runs, 3, 4\\)"):
        answers(curve=np.zeros((2, 3, 2, 4)))
    with pytest.raises(ValueError, match="more right answers"):
        answers(ways={"too many": np.full((2, 1, 4), 11.0)})


def test_chance_in_the_answers_of_runs_is_counted_once():
    random, units, runs = np.random.default_rng(0), 200, 5
    widths = []
    for seed in range(20):
        curve = random.random((1, runs, 2, units)) < np.array([[0.3], [0.6]])
        found = exchange_rates(
            Answers(shots=[1, 4], curve=curve.astype(float), ways={}, total=np.ones((1, units)), draws=[0]),
            resamples=300,
            seed=seed,
        )
        widths.append(found.high - found.low)
    expected = 2 * 1.645 * np.sqrt(np.array([0.3 * 0.7, 0.6 * 0.4]) / (units * runs))
    ratio = np.mean(widths, axis=0) / expected
    assert (ratio > 0.9).all()
    assert (ratio < 1.3).all()  # 1.4 where it is counted among the runs, too


def test_few_runs_have_wider_tails_than_a_normal_distribution():
    counts = np.array([20, 30, 40, 50, 60])
    right = (np.arange(100) < counts[:, None]).astype(float)[None, :, None] * np.ones((1, 1, 2, 1))
    found = exchange_rates(
        Answers(shots=[1, 2], curve=right, ways={}, total=np.ones((1, 100)), draws=[0]), resamples=500
    )
    assert (found.high - found.low > 2 * 1.645 * counts.std(ddof=1) / np.sqrt(5) / 100).all()


@pytest.fixture(scope="module")
def coverage():
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "statistics"))
    try:
        import exchange_coverage
    finally:
        sys.path.pop(0)
    return exchange_coverage


@pytest.mark.parametrize("world", ["power law, 3 draws", "one draw", "one draw, noisy runs"])
def test_intervals_hold_the_truth_and_ways_are_ordered(coverage, world):
    """A small run of benchmarks/statistics/exchange_coverage.py, whose full table is in docs/exchange-rate.md."""
    found = coverage.judge(coverage.WORLDS[world], samples=100, resamples=200)
    # of some 400 intervals, which are not independent within a world
    assert 0.83 <= found["on the curve"] <= 0.97
    assert found["below"] >= 0.9
    assert found["above"] >= 0.85
    assert found["order"] > 0.85
    assert found["told rightly"] > 0.97
