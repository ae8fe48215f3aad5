import math

import pytest
import torch

from tlzoo.functional import gaussian_kernel, mmd, pairwise_squared_distances
from tlzoo.functional.kernels import kernel_discrepancy


def points(n, d=3, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def naive(source, target, scales, estimator):
    """Return the squared discrepancy by double loops, in Python floats."""
    joint = [p.tolist() for p in (*source, *target)]
    n = len(source)

    def distance(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    mean = sum(distance(a, b) for a in joint for b in joint) / len(joint) ** 2

    def k(a, b):
        return sum(math.exp(-distance(a, b) / (2 * scale * mean)) for scale in scales)

    s, t = joint[:n], joint[n:]
    drop = estimator == "unbiased"

    def within(x):
        pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if not (drop and i == j)]
        return sum(k(x[i], x[j]) for i, j in pairs) / len(pairs)

    return within(s) + within(t) - 2 * sum(k(a, b) for a in s for b in t) / (len(s) * len(t))


@pytest.mark.parametrize("sizes", [(4, 4), (3, 6), (6, 2)])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_unequal_batches_against_double_loops(sizes, estimator):
    source, target = points(sizes[0]), points(sizes[1], seed=1) + 1
    found = mmd(source, target, scales=(0.5, 2.0), estimator=estimator)
    assert found.item() == pytest.approx(naive(source, target, (0.5, 2.0), estimator), abs=1e-10)


def test_one_point_a_side():
    assert mmd(points(1), points(1, seed=1)).item() == pytest.approx(2 - 2 * math.exp(-1))
    for estimator in ("unbiased", "linear"):
        with pytest.raises(ValueError, match="2 or more a side"):
            mmd(points(1), points(1), estimator=estimator)


def test_the_linear_estimator_needs_pairs():
    with pytest.raises(ValueError, match="got 3 and 4 points; use equal batch sizes or estimator='unbiased'"):
        mmd(points(3), points(4), estimator="linear")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bandwidth", ["mean", "legacy"])
def test_points_that_coincide(dtype, bandwidth):
    source = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    loss = mmd(source, torch.ones(5, 3, dtype=dtype), scales=(0.125, 1.0), bandwidth=bandwidth)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.equal(source.grad, torch.zeros_like(source))


def test_properties():
    source, target = points(5), points(7, seed=1) + 0.5
    assert mmd(source, source).item() == pytest.approx(0, abs=1e-12)
    assert mmd(source, target).item() == pytest.approx(mmd(target, source).item(), abs=1e-12)
    assert mmd(source, target).item() > 0
    # the bandwidth follows the data: neither shift nor scale of everything changes it
    assert mmd(7 * source + 3, 7 * target + 3).item() == pytest.approx(mmd(source, target).item(), abs=1e-10)


def test_digits_in_float32_far_from_the_origin():
    near = pairwise_squared_distances(points(6))
    far = pairwise_squared_distances((points(6) + 1000).float())
    torch.testing.assert_close(far.double(), near, rtol=1e-3, atol=1e-3)
    assert bool((far >= 0).all())


def test_kernel_sums_over_scales():
    x = points(5)
    both = gaussian_kernel(x, scales=(0.5, 2.0))
    torch.testing.assert_close(both, gaussian_kernel(x, scales=(0.5,)) + gaussian_kernel(x, scales=(2.0,)))
    torch.testing.assert_close(both.diagonal(), torch.full((5,), 2.0).double())


def test_refusals():
    with pytest.raises(ValueError, match="unknown bandwidth 'median'; expected mean or legacy"):
        mmd(points(3), points(3), bandwidth="median")
    with pytest.raises(ValueError, match="unknown estimator 'u'; expected biased, unbiased or linear"):
        mmd(points(3), points(3), estimator="u")
    with pytest.raises(ValueError, match="unknown estimator"):
        kernel_discrepancy(torch.eye(4), 2, estimator="u")
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(ValueError, match="expected one number > 0 or more"):
            mmd(points(3), points(3), scales=scales)
    with pytest.raises(ValueError, match="0 and 3 rows"):
        mmd(points(0), points(3))
