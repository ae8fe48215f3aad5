import pytest
import torch

from tlzoo.functional.isometry import joint_coordinates, split_coordinates


def points(count, width, seed=0, dtype=torch.float64):
    return torch.randn(3, count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def products(a, b):
    return a @ b.transpose(1, 2)


@pytest.mark.parametrize("width", [9, 4], ids=["independent", "dependent"])
def test_joint_coordinates_keep_all_inner_products(width):
    given = products(points(6, width), points(6, width))
    found = joint_coordinates(given)
    assert found.shape == (3, 6, 6)
    torch.testing.assert_close(products(found, found), given, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [9, 4, 3], ids=["independent", "few dimensions", "fewer than points"])
def test_split_coordinates_keep_what_a_query_alone_can_have(width):
    support, query = points(4, width), points(7, width, seed=1)
    found = split_coordinates(products(support, support), products(query, support), query.square().sum(-1))
    assert [part.shape for part in found] == [(3, 4, 5), (3, 7, 5)]
    torch.testing.assert_close(products(found[0], found[0]), products(support, support), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(products(found[1], found[0]), products(query, support), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found[1].square().sum(-1), query.square().sum(-1), rtol=1e-11, atol=1e-11)


def test_one_degenerate_episode_leaves_the_others_to_the_digit():
    support, query = points(4, 9), points(7, 9, seed=1)
    alone = split_coordinates(products(support, support), products(query, support), query.square().sum(-1))
    support[1, 2] = support[1, 0]
    mixed = split_coordinates(products(support, support), products(query, support), query.square().sum(-1))
    for place in (0, 2):
        assert torch.equal(alone[0][place], mixed[0][place])
        assert torch.equal(alone[1][place], mixed[1][place])
    torch.testing.assert_close(products(mixed[1], mixed[0]), products(query, support), rtol=1e-11, atol=1e-11)


def test_nearly_equal_support_in_single_precision():
    support, query = points(4, 9, dtype=torch.float32), points(7, 9, seed=1, dtype=torch.float32)
    support[:, 1] = support[:, 0] + 1e-4
    found = split_coordinates(products(support, support), products(query, support), query.square().sum(-1))
    torch.testing.assert_close(products(found[1], found[0]), products(query, support), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1].square().sum(-1), query.square().sum(-1), rtol=1e-3, atol=1e-3)


def test_points_at_the_origin():
    none = torch.zeros(2, 3, 3)
    assert joint_coordinates(none).abs().max() == 0
    support, query = split_coordinates(none, torch.zeros(2, 4, 3), torch.ones(2, 4))
    assert support.abs().max() == 0
    assert query.square().sum(-1).tolist() == [[1.0] * 4] * 2
