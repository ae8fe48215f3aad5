"""Two processes that share batches take the steps of one, whatever the method of adaptation or confusion."""

import pytest
import torch
from stepping import METHODS, steps

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


@pytest.fixture(scope="module")
def found(two_processes):
    return two_processes("stepping")


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("name", METHODS)
def test_twenty_steps_of_two_processes_are_those_of_one(name, precision, found):
    alone, tolerance = steps(name, precision, devices=1), TOLERANCE[precision]
    moved = [not torch.equal(alone["begun"][key].to(value), value) for key, value in alone["weights"].items()]
    assert any(moved)
    for result in found:
        together = result[name, precision]
        assert set(together["weights"]) == set(alone["weights"])
        for key, value in alone["weights"].items():
            torch.testing.assert_close(together["weights"][key], value, rtol=tolerance, atol=tolerance, msg=key)
        assert together["losses"] == pytest.approx(alone["losses"], rel=tolerance, abs=tolerance)
