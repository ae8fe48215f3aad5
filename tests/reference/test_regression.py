"""Methods for regression against their authors' code, restated."""

import numpy as np
import pytest
import torch

from tlzoo.methods.adaptation import DAREGRAM, JDOT, RSD
from tlzoo.types import Prediction

D = 12


def sides(rows):
    made = [torch.randn(rows, D, generator=torch.Generator().manual_seed(seed)).double() for seed in (1, 2)]
    leaves = [each.requires_grad_() for each in made]
    return leaves, [Prediction(features=each, logits=torch.zeros(rows, 1).double()) for each in leaves]


def same(ours, theirs, leaves):
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    for one, other in zip(*(torch.autograd.grad(value, leaves) for value in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)


@pytest.mark.verdict("adaptation/rsd", against="the authors' code, restated, value and gradients", within=1e-9)
def test_rsd():
    leaves, (source, target) = sides(5)
    found = RSD(D, 1)(source, target)["loss"]
    first, second = (torch.linalg.svd(each.T, full_matrices=False)[0] for each in leaves)
    p, cosines, q = torch.svd(first.T @ second)
    expected = torch.norm(torch.sqrt(1 - cosines**2), 1) + 0.01 * torch.norm(p.abs() - q.abs(), 2)
    same(found, 0.001 * expected, leaves)


@pytest.mark.verdict("adaptation/dare_gram", against="the authors' code, restated, value and gradients", within=1e-9)
def test_dare_gram():
    leaves, (source, target) = sides(30)
    found = DAREGRAM(D, 1, threshold=0.7)(source, target)["loss"]
    grams = [(rows := torch.cat([torch.ones(30, 1).double(), each], 1)).T @ rows for each in leaves]
    values = [torch.linalg.svd(gram)[1] for gram in grams]
    shares = [torch.cumsum(own.detach(), 0) / own.detach().sum() for own in values]
    k = max(int(torch.argwhere(each <= max(each[1].item(), 0.7))[-1]) for each in shares)
    # one more digit than theirs, which keeps or drops eigenvalue k as it rounds
    inverse = [
        torch.linalg.pinv(gram, rtol=((1 + 1e-9) * own[k] / own[0]).item())
        for gram, own in zip(grams, values, strict=True)
    ]
    cosine = torch.nn.CosineSimilarity(dim=0, eps=1e-6)(*inverse)
    expected = 0.05 * torch.dist(torch.ones(D + 1).double(), cosine, p=1) / (D + 1)
    expected = expected + 0.001 * torch.dist(values[0][:k], values[1][:k]) / k
    same(found, expected, leaves)


@pytest.mark.verdict("adaptation/jdot", against="POT's plans and scikit-learn's ridge, in turn, on values", within=1e-9)
def test_jdot_on_values():
    ot = pytest.importorskip("ot")
    from sklearn.linear_model import Ridge

    random = np.random.default_rng(0)
    x, z = random.normal(size=(20, 3)), random.normal(size=(15, 3)) + 0.4
    y = np.column_stack([5 * x[:, 0] + 1, 100 * x[:, 1]])
    method = JDOT(3, 2, standardize=False, rounds=3, penalty=2.0).double()
    method.fit(torch.from_numpy(x), torch.from_numpy(z), torch.from_numpy(y))
    codes = (y - y.mean(0)) / y.std(0)
    squares = ot.dist(x, z)
    answers = None
    for _ in range(3):
        cost = squares / squares.max() + (0 if answers is None else ot.dist(codes, answers))
        plan = ot.emd(ot.unif(20), ot.unif(15), cost)
        arrived = 15 * plan.T @ codes
        answers = Ridge(alpha=2.0).fit(z, arrived).predict(z)
    np.testing.assert_allclose(method.probabilities.numpy(), y.mean(0) + y.std(0) * arrived, rtol=1e-9, atol=1e-9)
