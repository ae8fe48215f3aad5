import pytest
import torch

from tlzoo.functional import average_gradients, gather_with_gradient


@pytest.fixture(scope="module")
def found(two_processes):
    return two_processes("gathering")


@pytest.mark.parametrize("case", ["equal", "unequal", "none here", "none there"])
def test_every_process_has_all_rows_in_order(case, found):
    expected = torch.cat([result[case]["local"] for result in found])
    for result in found:
        assert torch.equal(result[case]["gathered"], expected)


@pytest.mark.parametrize("case", ["equal", "unequal", "none here", "none there"])
def test_the_gradient_is_that_of_all_losses(case, found):
    """Both processes have computed sum(place * row): each row's gradient is twice its place, counted from 1."""
    expected = 2 * torch.arange(1.0, 1 + len(found[0][case]["gathered"]))[:, None].expand(-1, 3)
    assert torch.equal(torch.cat([result[case]["gradient"] for result in found]), expected)


def test_integers_and_booleans(found):
    for result in found:
        assert result["labels"].tolist() == [1, 2, 3, 4, 5]
        assert result["labels"].dtype == torch.int64
        assert result["flags"].tolist() == [True, False, True, False, True]


def test_gradients_are_averaged_in_place_and_nothing_is_made_of_none(found):
    for result in found:
        first, second, third, none = result["averaged"]
        assert torch.equal(first, torch.full((2, 3), 0.5))
        assert torch.equal(second, torch.full((4,), 10.5, dtype=torch.float64))
        assert torch.equal(third, torch.tensor(20.5))
        assert none is None


def test_in_one_process_gradients_stay():
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    average_gradients([parameter])
    assert torch.equal(parameter.grad, torch.ones(2))


def test_in_one_process_it_is_the_identity():
    rows = torch.ones(2, 3)
    assert gather_with_gradient(rows) is rows
