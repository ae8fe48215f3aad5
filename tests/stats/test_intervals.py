import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tlzoo.stats import bounded_interval, summary

VALUES = np.random.default_rng(0).normal(3, 2, size=9)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 9])
def test_student_t_equals_scipy(level, n):
    s = summary(VALUES[:n], level=level)
    low, high = scipy_stats.t.interval(level, n - 1, loc=s.mean, scale=scipy_stats.sem(VALUES[:n]))
    assert (s.low, s.high) == pytest.approx((low, high), rel=1e-12)
    assert s.std == pytest.approx(VALUES[:n].std(ddof=1))
    assert s.half_width == pytest.approx((high - low) / 2)


def test_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(1).exponential(size=200)
    s = summary(values)
    reference = scipy_stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert s.method == "bootstrap"
    assert (s.low, s.high) == pytest.approx(tuple(reference), abs=0.01)
    assert summary(values) == s


def test_few_runs_take_student_t_and_say_so():
    assert summary(np.arange(29.0)).method == "t"
    assert summary(np.arange(30.0)).method == "bootstrap"
    assert summary(np.arange(30.0), method="t").method == "t"


def test_student_t_of_five_covers_what_it_says():
    random = np.random.default_rng(3)
    inside = [s.low <= 0 <= s.high for s in (summary(random.normal(size=5)) for _ in range(2000))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_one_run_has_no_interval():
    s = summary([0.7])
    assert (s.n, s.mean) == (1, 0.7)
    assert all(map(math.isnan, (s.std, s.low, s.high, s.half_width)))
    assert s.note == "one run: no spread, no interval"


def test_no_run_at_all():
    s = summary([])
    assert s.n == 0
    assert math.isnan(s.mean)
    assert s.note == "no value"


def test_undefined_values_are_left_out_and_counted():
    s = summary([1.0, math.nan, 3.0])
    assert (s.n, s.dropped, s.mean) == (2, 1, 2.0)
    assert s.note == "1 undefined left out"


def test_equal_values_give_a_point():
    s = summary([0.5, 0.5, 0.5])
    assert (s.low, s.high, s.std) == (0.5, 0.5, 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": [[1.0]]}, "expected one value per run"),
        ({"values": [1.0, 2.0], "level": 95}, "level is 95; expected a probability"),
        ({"values": [1.0, 2.0], "method": "z"}, "interval method is 'z'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        summary(**arguments)


@pytest.mark.parametrize("values", [[0.97, 0.99, 1.0], [0.0, 0.02, 0.1], [0.2, 0.9], [0.999, 1.0]])
def test_an_interval_of_shares_ends_within_their_range(values):
    plain = summary(values)
    found = bounded_interval(plain, lowest=0.0, highest=1.0)
    assert plain.low < 0 or plain.high > 1
    assert 0 <= found.low < found.mean < found.high <= 1
    assert found.mean == plain.mean
    mirrored = bounded_interval(summary([1 - value for value in values]), lowest=0.0, highest=1.0)
    assert mirrored.low == pytest.approx(1 - found.high)


def test_an_interval_within_the_range_stays():
    plain = summary([0.5, 0.55, 0.6])
    assert bounded_interval(plain, lowest=0.0, highest=1.0) is plain
    assert bounded_interval(summary([1.0, 1.0]), lowest=0.0, highest=1.0).high == 1.0
    assert math.isnan(bounded_interval(summary([0.5]), lowest=0.0, highest=1.0).low)
