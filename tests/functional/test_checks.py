import pytest
import torch

from tlzoo.functional.checks import check_choice, check_pair, is_finite, where_not_finite


def test_choice():
    check_choice("mean", ("mean", "legacy"), what="bandwidth")
    with pytest.raises(ValueError, match="unknown bandwidth 'median'; expected mean or legacy"):
        check_choice("median", ("mean", "legacy"), what="bandwidth")
    with pytest.raises(ValueError, match="expected a, b or c"):
        check_choice("d", ("a", "b", "c"), what="letter")


def test_pair():
    check_pair(torch.ones(1, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match="differ in width: 2 and 3; use one backbone for both"):
        check_pair(torch.ones(1, 2), torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1, 2\)"):
        check_pair(torch.ones(2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="have 1 and 4 rows; expected 2 or more a side"):
        check_pair(torch.ones(1, 2), torch.ones(4, 2), least=2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.ones(3), True),
        (torch.tensor([1.0, torch.nan]), False),
        (torch.tensor([torch.inf, -torch.inf]), False),
        (torch.tensor(torch.nan), False),
        (torch.tensor([1, 2]), True),
        (torch.empty(0), True),
        (torch.full((4,), 3e38), True),  # its sum overflows, no entry does
        (torch.full((3,), torch.nan, device="meta"), True),  # an accelerator is not asked
    ],
)
def test_finite(value, expected):
    assert is_finite(value) is expected


def test_places():
    value = torch.zeros(6, 2)
    value[[1, 2, 4, 5], 0] = torch.nan
    assert where_not_finite(value, unit="row") == "rows 1, 2, 4 and 1 more"
    value = torch.zeros(2, 3, 4)
    value[1, 2, 0] = torch.inf
    assert where_not_finite(value, unit="episode") == "episode 1"
