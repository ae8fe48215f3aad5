import math

import numpy as np
import pytest
import torch

from tlzoo.functional import (
    coral_loss,
    covariance,
    entropy,
    entropy_weights,
    gather_with_gradient,
    information_maximization,
    multilinear_map,
    symmetric_power,
)


def test_covariance_equals_numpy():
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(covariance(x).numpy(), np.cov(x.numpy().T), atol=1e-12)
    with pytest.raises(ValueError, match="1 points have no covariance"):
        covariance(x[:1])


def test_coral_at_unequal_sizes_and_shifts():
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert coral_loss(x, x + 5).item() == pytest.approx(0, abs=1e-12)
    assert coral_loss(x, x + 5, normalization="domainbed").item() == pytest.approx(25)
    expected = np.square(np.cov(x.numpy().T) - np.cov(x[:4].numpy().T)).sum() / 36
    assert coral_loss(x, x[:4]).item() == pytest.approx(expected)


def test_coral_refusals():
    with pytest.raises(ValueError, match="2 or more a side"):
        coral_loss(torch.ones(1, 3), torch.ones(4, 3))
    with pytest.raises(ValueError, match="unknown normalization 'tllib'; expected paper or domainbed"):
        coral_loss(torch.ones(4, 3), torch.ones(4, 3), normalization="tllib")


def test_entropy_at_its_ends():
    logits = torch.tensor([[0.0, 0.0], [1000.0, -1000.0]], dtype=torch.float64, requires_grad=True)
    values = entropy(logits)
    torch.testing.assert_close(values.detach(), torch.tensor([math.log(2), 0.0]).double())
    values.sum().backward()
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_information_of_certain_predictions(dtype):
    logits = (1e4 * torch.eye(3, dtype=dtype)[:2]).requires_grad_()  # the third class has probability 0
    value = information_maximization(logits)
    assert value.item() == pytest.approx(-math.log(2), abs=1e-6)
    value.backward()
    assert bool(logits.grad.isfinite().all())
    with pytest.raises(ValueError, match="empty batch"):
        information_maximization(logits[:0])


def test_entropy_weights():
    source, target = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5, 2.0])
    ours, theirs = entropy_weights(source, target, normalization="joint")
    assert float(ours.sum() + theirs.sum()) == pytest.approx(5)
    assert ours[0] > ours[1]
    with pytest.raises(ValueError, match="0 source and 3 target examples"):
        entropy_weights(source[:0], target)
    with pytest.raises(ValueError, match="unknown normalization 'mean'"):
        entropy_weights(source, target, normalization="mean")


def test_multilinear_map_refuses():
    with pytest.raises(ValueError, match=r"expected \(B, D\) and \(B, C\)"):
        multilinear_map(torch.ones(2, 3), torch.ones(3, 2))


def test_gathering_in_one_process_is_the_identity():
    x = torch.ones(2, 3, requires_grad=True)
    assert gather_with_gradient(x) is x


@pytest.mark.parametrize("exponent", [0.5, -0.5, -1.0, 2.0])
def test_gradient_of_a_symmetric_power(exponent):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    for matrix in (
        root @ root.T + torch.eye(5),
        torch.eye(5).double(),
        torch.diag(torch.tensor([1.0, 1, 2, 2, 3])).double(),
    ):
        weights = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        weights = weights + weights.T
        leaf = matrix.clone().requires_grad_()
        value = (symmetric_power(leaf, exponent) * weights).sum()
        assert value.item() == pytest.approx((symmetric_power(matrix, exponent) * weights).sum().item())
        (gradient,) = torch.autograd.grad(value, leaf)
        direction = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        direction = direction + direction.T
        around = [(symmetric_power(matrix + s * 1e-5 * direction, exponent) * weights).sum() for s in (1, -1)]
        assert (gradient * direction).sum().item() == pytest.approx(((around[0] - around[1]) / 2e-5).item(), rel=1e-5)
