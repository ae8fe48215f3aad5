"""Distances for regression under domain shift against their authors' code, restated."""

import pytest
import torch

from tlzoo.functional import inverse_gram_distance, subspace_distance


def features(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def leaves(rows=6, width=9):
    return [features(rows, width, seed).requires_grad_() for seed in (1, 2)]


def assert_same(ours, theirs, sides):
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(*(torch.autograd.grad(value, sides) for value in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_rsd_is_the_authors():
    source, target = leaves(6, 14)
    u_s, _, _ = torch.svd(source.t())
    u_t, _, _ = torch.svd(target.t())
    p_s, cospa, p_t = torch.svd(torch.mm(u_s.t(), u_t))
    sinpa = torch.sqrt(1 - torch.pow(cospa, 2))
    expected = torch.norm(sinpa, 1) + 0.3 * torch.norm(torch.abs(p_s) - torch.abs(p_t), 2)
    assert_same(subspace_distance(source, target, mismatch_weight=0.3), expected, (source, target))


def test_rsd_is_that_of_subspaces():
    source, target = (side.detach() for side in leaves(4, 9))
    turned = features(4, 4, 5) @ source  # another basis of the same space
    same = subspace_distance(turned, target, mismatch_weight=0)
    torch.testing.assert_close(subspace_distance(source, target, mismatch_weight=0), same)
    assert float(subspace_distance(source, turned, mismatch_weight=0)) == pytest.approx(0, abs=1e-6)
    axes = torch.eye(5)
    assert subspace_distance(axes[:2], axes[2:5], mismatch_weight=0) == 2  # right angles, as many as the smaller has


@pytest.mark.parametrize("rows", [6, 30])
def test_dare_gram_is_the_authors(rows):
    source, target = leaves(rows, 9)
    threshold = 0.7
    grams = []
    for side in (source, target):
        extended = torch.cat((torch.ones(rows, 1).double(), side), 1)
        grams.append(extended.t() @ extended)
    values = [torch.linalg.svd(gram)[1] for gram in grams]
    places = []
    for own in values:
        shares = torch.cumsum(own.detach(), dim=0) / own.sum()
        limit = shares[1].detach() if shares[1] > threshold else threshold
        places.append(torch.argwhere(shares.detach() <= limit)[-1])
    k = max(places)[0]
    # theirs is rtol = L[k] / L[0], which drops eigenvalue k or not as it rounds; here it is dropped
    first, second = (
        torch.linalg.pinv(gram, rtol=(1 + 1e-9) * (own[k] / own[0]).detach())
        for gram, own in zip(grams, values, strict=True)
    )
    cosines = torch.nn.CosineSimilarity(dim=0, eps=1e-6)(first, second)
    angle = torch.dist(torch.ones(10).double(), cosines, p=1) / 10
    expected = 0.05 * angle + 0.1 * torch.dist(values[0][:k], values[1][:k]) / k
    found = inverse_gram_distance(source, target, threshold=threshold, scale_weight=0.1)
    assert_same(found, expected, (source, target))


def test_what_they_refuse():
    source, target = (side.detach() for side in leaves(4, 9))
    with pytest.raises(ValueError, match="span everything"):
        subspace_distance(source[:, :3], target[:, :3])
    with pytest.raises(ValueError, match="as many a side"):
        subspace_distance(source[:3], target)
    with pytest.raises(ValueError, match="threshold"):
        inverse_gram_distance(source, target, threshold=1.0)


def test_one_feature_and_one_row():
    source, target = torch.ones(3, 1), torch.tensor([[2.0]])
    assert inverse_gram_distance(source, target).isfinite()
    assert subspace_distance(torch.ones(1, 4), torch.ones(1, 4)).isfinite()
