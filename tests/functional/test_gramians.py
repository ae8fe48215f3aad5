import pytest
import torch

from tlzoo.functional.gramians import cagrad_weights, dual_cone_weights, fair_weights, min_norm_weights

J = torch.tensor([[1.0, 0, 2], [0, 1, -1], [-1, 2, 0.5]], dtype=torch.float64)
G = J @ J.T


def test_min_norm_is_the_best_of_many_convex_combinations():
    torch.manual_seed(0)
    others = torch.distributions.Dirichlet(torch.ones(3).double())
    lengths = (others.sample((500,)) @ J).norm(dim=1)
    assert float((min_norm_weights(G) @ J).norm()) <= float(lengths.min()) + 1e-12


def test_min_norm_of_parallel_and_opposite_gradients():
    same = torch.tensor([[2.0, 0], [1.0, 0]]).double()
    torch.testing.assert_close(min_norm_weights(same @ same.T), torch.tensor([0.0, 1.0]).double())
    opposite = torch.tensor([[2.0, 0], [-1.0, 0]]).double()
    torch.testing.assert_close(
        min_norm_weights(opposite @ opposite.T) @ opposite, torch.zeros(2).double(), atol=1e-7, rtol=0
    )
    assert min_norm_weights(torch.zeros(3, 3)).tolist() == [1 / 3] * 3


def test_dual_cone_is_a_projection():
    u = torch.tensor([1.0, 0.0, 0.0]).double()
    v = dual_cone_weights(G, u)
    d = v @ J
    assert bool((J @ d >= -1e-12).all())
    assert bool((v >= u).all())
    # complementarity: what was added is orthogonal to the projection
    assert abs(float((v - u) @ (J @ d))) <= 1e-10
    both = dual_cone_weights(G, torch.eye(3))
    torch.testing.assert_close(both[0], v)
    softened = dual_cone_weights(G, u, regularization=1e-4)
    assert 0 < float((softened - v).abs().max()) < 1e-2


def test_stationary_gradients_have_no_direction():
    opposite = torch.tensor([[2.0, 0], [-1.0, 0]]).double()
    assert fair_weights(opposite @ opposite.T).tolist() == [0, 0]
    balanced = torch.tensor([[1.0, 0], [-1.0, 0]]).double()
    assert cagrad_weights(balanced @ balanced.T, 0.5).tolist() == [0, 0]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_scales(scale):
    d = fair_weights(scale**2 * G) @ (scale * J)
    torch.testing.assert_close(d, fair_weights(G) @ J)
    torch.testing.assert_close(cagrad_weights(scale**2 * G, 0.5), cagrad_weights(G, 0.5))
    torch.testing.assert_close(min_norm_weights(scale**2 * G), min_norm_weights(G))


def test_rows_of_very_different_length_keep_their_digits():
    lengths = torch.tensor([1e-8, 1.0, 1e8]).double()
    weights = fair_weights(G * lengths * lengths[:, None])
    torch.testing.assert_close(weights * lengths, fair_weights(G), rtol=1e-6, atol=0)
