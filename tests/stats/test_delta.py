import math

import pytest

from tlzoo.stats.delta import Measured, delta_m

METRICS = {
    "segmentation": {"iou": Measured(value=0.55, base=0.5), "accuracy": Measured(value=0.72, base=0.8)},
    "depth": {"error": Measured(value=0.9, base=1.2, higher_is_better=False)},
}


def test_nash_mtl_averages_over_metrics_and_lower_is_better():
    found = delta_m(METRICS, variant="nash_mtl")
    assert found.value == pytest.approx((-10.0 + 10.0 - 25.0) / 3)
    assert not found.higher_is_better
    assert found.metrics["depth"]["error"].base == 1.2


def test_libmtl_averages_within_a_task_first_and_higher_is_better():
    found = delta_m(METRICS)
    assert found.variant == "libmtl"
    assert found.value == pytest.approx(((10.0 - 10.0) / 2 + 25.0) / 2)
    assert found.higher_is_better


def test_the_base_itself_is_zero_and_a_base_of_zero_is_undefined():
    assert delta_m({"a": {"x": Measured(value=0.3, base=0.3)}}, variant="nash_mtl").value == 0
    assert math.isnan(delta_m({"a": {"x": Measured(value=0.3, base=0.0)}}).value)
    assert Measured(value=-1.0, base=-2.0).relative == 50


@pytest.mark.parametrize("metrics", [{}, {"a": {}}])
def test_no_metric(metrics):
    with pytest.raises(ValueError, match="expected a task or more"):
        delta_m(metrics)


def test_unknown_variant():
    with pytest.raises(ValueError, match="nash_mtl or libmtl"):
        delta_m(METRICS, variant="mean")
