"""iLPC and DeepBDC against their authors' code, restated for one episode."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from tlzoo.methods.oneshot import ILPC, DeepBDC

WAY = 3


def features(count, seed, *, width=12, noise=0.35):
    """Positive features of classes in turn, which overlap."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(WAY, width, generator=torch.Generator().manual_seed(99)).double()
    return centers[torch.arange(count) % WAY] + noise * torch.rand(count, width, generator=generator).double()


def graph(x, share, k):
    """update_plabels up to the system that it solves, entry by entry."""
    n = len(x)
    weights = np.zeros((n, n))
    for i in range(n):
        products = x @ x[i]
        products[i] = -np.inf
        for j in np.argsort(-products)[:k]:
            weights[i, j] = max(products[j], 0) ** 3
    weights = weights + weights.T
    sums = weights.sum(1)
    return np.eye(n) - share * weights / np.sqrt(np.outer(sums, sums))


def transported(shares, counts, sharpness):
    """compute_optimal_transport."""
    plan, u = shares**sharpness, np.zeros(len(shares))
    for _ in range(1000):
        if np.abs(u - plan.sum(1)).max() <= 1e-6:
            break
        u = plan.sum(1)
        plan = plan / u[:, None]
        plan = plan * (counts / plan.sum(0))
    return plan


def denoised(x, labels, shown, steps, rate):
    """label_denoising by torch's SGD and autograd, with biases that start at zero."""
    layer = nn.Linear(x.shape[1], WAY).double()
    means = torch.stack([x[:shown][labels[:shown] == c].mean(0) for c in range(WAY)])
    layer.weight.data, layer.bias.data = F.normalize(means, dim=1), torch.zeros(WAY).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    total = torch.zeros(len(x)).double()
    for _ in range(steps):
        losses = F.cross_entropy(layer(x), labels, reduction="none")
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        total += losses.detach() / steps
    return total


def expected(support, labels, query, *, k, selected, steps):
    """iter_balanced_trans, which moves the selected queries from one array to the other."""
    shown = len(support)
    x = torch.cat([support, query])
    x = F.normalize((x + 1e-6) ** 0.5, dim=1)
    x = F.normalize(x - x.mean(0), dim=1)
    order, left = list(range(len(x))), np.full(WAY, len(query) / WAY)
    known, y, found = shown, labels.clone(), {}
    while known < len(order):
        system = graph(x[order].numpy().copy(), 0.8, k)
        spread = np.linalg.solve(system, np.eye(len(order))[:, :known] @ F.one_hot(y, WAY).double().numpy())[known:]
        plan = transported(spread / spread.sum(1, keepdims=True), left, 3.0)
        guess = plan.argmax(1)
        losses = denoised(x[order], torch.cat([y, torch.from_numpy(guess)]), known, steps, 0.1)[known:].numpy()
        chosen = []
        for c in range(WAY):
            own = np.where(guess == c)[0]
            chosen += [place for place, rank in zip(own, stats.rankdata(losses[own]), strict=True) if rank <= selected]
        rest = [place for place in range(len(guess)) if place not in chosen]
        for place in chosen:
            found[order[known + place] - shown] = plan[place]
            left[guess[place]] -= 1
        order = order[:known] + [order[known + place] for place in [*chosen, *rest]]
        y = torch.cat([y, torch.from_numpy(guess[chosen])])
        known += len(chosen)
    return np.stack([found[place] for place in range(len(query))])


@pytest.mark.verdict(
    "oneshot/ilpc",
    against="the authors' code, restated, with an exact solution for Z and biases that start at zero",
    within=1e-8,
)
@pytest.mark.parametrize("seed", [1, 2])
def test_ilpc(equal, seed):
    support, query, labels = features(WAY, seed), features(4 * WAY, seed + 10), torch.arange(WAY)
    method = ILPC(neighbors=5, selected=2, steps=60)
    found = method(support, labels, query, way=WAY)
    equal(found.exp(), expected(support, labels, query, k=5, selected=2, steps=60))
    together = method(
        torch.stack([support, support + 1]), labels.expand(2, -1), torch.stack([query, 2 * query]), way=WAY
    )
    torch.testing.assert_close(together[0], found, atol=1e-9, rtol=0)


def test_ilpc_gives_each_class_its_number_of_queries():
    support, query, labels = features(WAY, 1), features(3 * WAY, 4, noise=3.0), torch.arange(WAY)
    balanced = ILPC(steps=20, selected=1)(support, labels, query, way=WAY).argmax(dim=-1)
    assert torch.bincount(balanced, minlength=WAY).tolist() == [3, 3, 3]
    free = ILPC(steps=20, queries="unbalanced")(support, labels, query, way=WAY)
    torch.testing.assert_close(free.exp().sum(dim=-1), torch.ones(3 * WAY).double())


def covpool(x, t):
    """BDCovpool and Triuvec."""
    n, dim, _ = x.shape
    eye, ones = torch.eye(dim).double(), torch.ones(n, dim, dim).double()
    squares = x.bmm(x.transpose(1, 2))
    dcov = ones.bmm(squares * eye) + (squares * eye).bmm(ones) - 2 * squares
    dcov = torch.sqrt(torch.exp(t) * torch.clamp(dcov, min=0.0) + 1e-5)
    centered = dcov - dcov.bmm(ones) / dim - ones.bmm(dcov) / dim + ones.bmm(dcov).bmm(ones) / dim**2
    return centered[:, torch.ones(dim, dim).triu().bool()]


@pytest.mark.verdict("oneshot/deep_bdc", against="the authors' code, restated", within=1e-9)
@pytest.mark.parametrize("shot", [1, 2])
def test_deep_bdc(equal, shot):
    support, query, labels = features(shot * WAY, 1), features(5, 2), torch.arange(WAY).repeat(shot)
    method = DeepBDC(places=3).double()
    shown, asked = (covpool(side.view(len(side), 4, 3), method.temperature) for side in (support, query))
    classes = torch.stack([shown[labels == c].mean(0) for c in range(WAY)])
    scores = asked @ classes.T if shot == 1 else -(asked[:, None] - classes).square().sum(2)
    found = method(support, labels, query, way=WAY)
    equal(found.detach(), scores.detach())
    ours, theirs = (torch.autograd.grad(each.square().sum(), [method.temperature])[0] for each in (found, scores))
    torch.testing.assert_close(ours, theirs)


def test_deep_bdc_sees_dependence_alone():
    """A shift of all channels of a place, which moves the map, is not seen; places may come in any order."""
    support, query, labels = features(WAY, 1), features(5, 2), torch.arange(WAY)
    method = DeepBDC(places=3).double()
    before = method(support, labels, query, way=WAY)
    maps = query.view(-1, 4, 3)
    moved = (maps + torch.rand(5, 1, 3).double()).flip(2).flatten(1)
    torch.testing.assert_close(method(support, labels, moved, way=WAY), before)


def test_a_feature_that_is_no_map_is_refused():
    with pytest.raises(ValueError, match="width 12 are no maps of 5 places"):
        DeepBDC(places=5)(features(WAY, 1), torch.arange(WAY), features(5, 2), way=WAY)
