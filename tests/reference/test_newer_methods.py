"""Methods against what their authors' code computes, restated."""

import pytest
import torch
from torch.nn import functional as F

from tlzoo.functional import dare, task_arithmetic, ties
from tlzoo.methods.adaptation import AaD
from tlzoo.methods.confusion import DALN
from tlzoo.methods.oneshot import FRN, PADDLE, MetaBaseline
from tlzoo.types import Prediction

D, C = 5, 4


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def side(count, seed, **parts):
    return Prediction(features=normal(count, D, seed=seed), logits=3 * normal(count, C, seed=seed + 50), **parts)


@pytest.mark.verdict("adaptation/aad", against="the authors' loss, restated, up to its constant", within=1e-9)
def test_aad(equal):
    whole, progress = side(30, 1, indices=torch.arange(30)), 0.3
    method = AaD(D, C, neighbors=3, dispersion=0.7, decay=2.0).double()
    method.on_epoch(whole)
    chosen = torch.tensor([4, 9, 17, 2, 28])
    features, logits = normal(5, D, seed=3), (2 * normal(5, C, seed=4)).requires_grad_()
    batch = Prediction(features=features, logits=logits, indices=chosen)

    bank, scores = F.normalize(whole.features), whole.logits.softmax(1)
    bank[chosen], scores[chosen] = F.normalize(features), logits.detach().softmax(1)
    near = (F.normalize(features) @ bank.T).topk(4).indices[:, 1:]
    p = logits.softmax(1)
    attracted = F.kl_div(p.unsqueeze(1).expand(-1, 3, -1), scores[near], reduction="none").sum(-1).sum(1).mean()
    constant = (scores[near] * scores[near].log()).sum((1, 2)).mean()
    mask = 1 - torch.eye(5).double()
    expected = attracted - constant + ((p @ p.T) * mask).sum(-1).mean() * 0.7 * (1 + 10 * progress) ** -2.0
    found = method.loss(batch, progress=progress)["loss"]
    equal(found, expected)
    equal(torch.autograd.grad(found, logits)[0], torch.autograd.grad(expected, logits)[0])


@pytest.mark.verdict("confusion/daln", against="TLlib's discrepancy, restated, value and gradients", within=1e-9)
def test_daln(equal):
    torch.manual_seed(0)
    method = DALN(D, C, weight=0.6).double()
    source, target = side(6, 1, labels=torch.arange(6) % C), side(6, 2)
    leaves = [part.features.requires_grad_() for part in (source, target)]
    terms = method(source, target, progress=0.4)

    def nuclear(features):
        return torch.linalg.matrix_norm(method.head(features).softmax(1), ord="nuc")

    discrepancy = (-nuclear(leaves[1]) + nuclear(leaves[0])) / 6
    equal(terms["loss"], -0.6 * discrepancy)
    coefficient = 2 / (1 + torch.exp(torch.tensor(-10 * 0.4).double())) - 1
    ours = torch.autograd.grad(terms["loss"], [*leaves, method.head.weight], retain_graph=True)
    theirs = torch.autograd.grad(-0.6 * discrepancy, [*leaves, method.head.weight])
    for mine, other, factor in zip(ours, theirs, (-coefficient, -coefficient, 1), strict=True):
        equal(mine, factor * other)


@pytest.mark.verdict("oneshot/meta_baseline", against="the formula", within=1e-12)
def test_meta_baseline(equal):
    support, query = normal(8, D, seed=1), normal(6, D, seed=2)
    labels = torch.arange(4).repeat(2)
    means = torch.stack([support[labels == label].mean(0) for label in range(4)])
    found = MetaBaseline(temperature=7.0).double()(support, labels, query, way=4)
    equal(found, 7 * F.cosine_similarity(query[:, None], means[None], dim=-1))


@pytest.mark.verdict("oneshot/frn", against="the authors' reconstruction, restated, on maps of one place", within=1e-8)
def test_frn(equal):
    support, query = normal(7, D, seed=1), normal(6, D, seed=2)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    method, columns = FRN(D).double(), []
    with torch.no_grad():
        for parameter, value in zip((method.alpha, method.beta, method.gamma), (0.4, -0.3, 2.0), strict=True):
            parameter.fill_(value)
    for label in range(3):
        own = support[labels == label]
        lam = len(own) / D * torch.tensor(0.4).double().exp() + 1e-6
        hat = torch.linalg.inv(own.T @ own + lam * torch.eye(D)) @ own.T @ own
        columns.append(-2 * (query @ hat * torch.tensor(-0.3).double().exp() - query).square().sum(1))
    equal(method(support, labels, query, way=3), torch.stack(columns, dim=1))


@pytest.mark.verdict("oneshot/paddle", against="the authors' updates, restated, with their scaling", within=1e-8)
def test_paddle(equal):
    support, query = normal(6, D, seed=1), normal(9, D, seed=2)
    labels, one_hot = torch.arange(3).repeat(2), F.one_hot(torch.arange(3).repeat(2)).double()
    span = query.max(0).values - query.min(0).values
    low = query.min(0).values
    inside, known = query / span - low, support / span - low
    w = torch.stack([known[labels == label].mean(0) for label in range(3)])
    v = torch.zeros(3).double()
    for _ in range(12):
        logits = inside @ w.T - w.square().sum(1) / 2 - inside.square().sum(1, keepdim=True) / 2
        logits = logits + 9 * 0.8 * v / len(query)
        u = logits.softmax(1)
        v = torch.log(u.sum(0) / len(query) + 1e-6) + 1
        w = (u.T @ inside + one_hot.T @ known) / (u.sum(0) + one_hot.sum(0))[:, None]
    equal(PADDLE(D, transform="UN", weight=0.8, rounds=12)(support, labels, query, way=3), logits)


def weights(seed):
    return {"a": normal(2, 3, seed=seed), "b": normal(4, seed=seed + 1), "n": torch.tensor(seed)}


def vectors(start, states):
    return torch.stack([torch.cat([(s[name] - start[name]).flatten() for name in "ab"]) for s in states])


def flat(state):
    return torch.cat([state[name].flatten() for name in "ab"])


def test_task_arithmetic_adds_the_changes():
    start, states = weights(0), [weights(10), weights(20)]
    found = task_arithmetic(start, states, scale=0.4)
    torch.testing.assert_close(flat(found), flat(start) + 0.4 * vectors(start, states).sum(0))
    assert int(found["n"]) == 0
    torch.testing.assert_close(flat(task_arithmetic(start, states[:1], scale=1.0)), flat(states[0]))


@pytest.mark.parametrize("keep", [0.3, 1.0])
def test_ties_trims_elects_and_averages(keep):
    start, states = weights(0), [weights(10), weights(20), weights(30)]
    changes, expected = vectors(start, states), []
    trimmed = torch.zeros_like(changes)
    for row, change in enumerate(changes):
        order = change.abs().argsort(descending=True)[: round(keep * len(change))]
        trimmed[row, order] = change[order]
    for column in trimmed.T:
        sign = torch.sign(column.sum())
        agreeing = column[(column != 0) & (column.sign() == sign)]
        expected.append(agreeing.mean() if len(agreeing) else torch.tensor(0.0).double())
    found = flat(ties(start, states, keep=keep, scale=0.9)) - flat(start)
    torch.testing.assert_close(found, 0.9 * torch.stack(expected))


def test_dare_keeps_the_mean_of_the_changes():
    start, states = weights(0), [weights(10), weights(20)]
    draws = [
        flat(dare(start, states, drop=0.5, scale=1.0, generator=torch.Generator().manual_seed(seed)))
        for seed in range(4000)
    ]
    expected = flat(task_arithmetic(start, states, scale=1.0))
    deviation = vectors(start, states).square().sum(0).sqrt() / 4000**0.5  # of the mean: each change is 0 or doubled
    assert ((torch.stack(draws).mean(0) - expected).abs() < 5 * deviation).all()
    nothing = dare(start, states, drop=0.0, scale=0.3, generator=torch.Generator())
    torch.testing.assert_close(flat(nothing), flat(task_arithmetic(start, states)))


def test_merging_says_what_is_missing():
    with pytest.raises(ValueError, match="no fine-tuned weights"):
        task_arithmetic(weights(0), [])
    with pytest.raises(ValueError, match="keep"):
        ties(weights(0), [weights(1)], keep=0.0)
    with pytest.raises(ValueError, match="drop"):
        dare(weights(0), [weights(1)], drop=1.0, generator=torch.Generator())
