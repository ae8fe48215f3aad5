"""Few shots beside class texts, further methods: each against its authors' code, restated for one episode."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.functional.span import adamw, cosine_schedule
from tlzoo.methods.oneshot import APE, CLIPAdapter, EMDirichlet, ZLaP

WAY, SHOT, NEW, D, QUERIES = 3, 4, 1, 8, 9
LABELS = torch.arange(WAY).repeat(SHOT)


def unit(*shape, seed):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()
    return F.normalize(values + 0.5, dim=-1)


SUPPORT, QUERY, TEXTS = unit(WAY * SHOT, D, seed=0), unit(QUERIES, D, seed=1), unit(WAY + NEW, D, seed=2)


def answers(method):
    """The logits of the episode, which is one of two; the inputs are not of length 1."""
    pair = [torch.stack([part, part.flip(0)]) for part in (3 * SUPPORT, 0.5 * QUERY, 2 * TEXTS)]
    labels = torch.stack([LABELS, LABELS])
    together = method(pair[0], labels, pair[1], pair[2], way=WAY)[0]
    alone = method(SUPPORT, LABELS, QUERY, TEXTS, way=WAY)
    torch.testing.assert_close(together, alone, atol=1e-8, rtol=1e-8)
    return alone


@pytest.mark.verdict(
    "oneshot/clip_adapter", against="the authors' network, trained by torch's Adam and autograd", within=1e-9
)
@pytest.mark.parametrize("steps", [0, 6])
def test_clip_adapter(equal, steps):
    method = CLIPAdapter(scale=20.0, ratio=0.3, steps=steps, lr=0.01)
    down, up = (nn.Linear(*shape, bias=False).double() for shape in ((D, D // 4), (D // 4, D)))
    generator = method.random.constant()
    for layer in (down, up):  # kaiming_uniform_ with a = sqrt(5), torch's start of linear layers
        start = layer.weight.detach().T.contiguous()
        nn.init.uniform_(start, -1, 1, generator=generator)
        layer.weight.data = start.T / layer.in_features**0.5
    adapter = nn.Sequential(down, nn.ReLU(), up, nn.ReLU())
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))

    def scores(features, texts):
        adapted = 0.3 * adapter(features) + (1 - 0.3) * features
        return 20 * (adapted / adapted.norm(dim=-1, keepdim=True)) @ texts.T

    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(scores(SUPPORT, TEXTS[:WAY]), LABELS).backward()
        optimizer.step()
        schedule.step()
    equal(answers(method), scores(QUERY, TEXTS).detach())


def test_clip_adapter_starts_like_linear_layers():
    down, up = CLIPAdapter()._start(torch.zeros(1, 64))
    for weight, inputs in ((down, 64), (up, 16)):
        bound = inputs**-0.5
        assert float(weight.abs().max()) <= bound
        assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.1)


def chosen(support, labels, texts, count, omega):
    """cal_criterion of the authors' utils.py, pair by pair."""
    total, pairs = torch.zeros(D).double(), 0
    feats = [torch.cat([texts[c][None], support[labels == c]]) for c in range(WAY)]
    for i in range(WAY):
        for j in range(WAY):
            for one in feats[i] if i != j else []:
                for other in feats[j]:
                    total += one * other
                    pairs += 1
    criterion = -omega * total / pairs + (1 - omega) * texts.T.var(dim=1)
    return criterion.topk(count).indices


@pytest.mark.verdict("oneshot/ape", against="the authors' code, restated", within=1e-9)
@pytest.mark.parametrize("omega", [0.7, 0.2])
def test_ape(equal, omega):
    texts, values = TEXTS[:WAY], F.one_hot(LABELS).double()
    places = chosen(SUPPORT, LABELS, texts, 5, omega)
    clip_weights, keys, features = (part[:, places] for part in (texts, SUPPORT, QUERY))
    clip_weights, keys, features = (part / part.norm(dim=1, keepdim=True) for part in (clip_weights, keys, features))
    key_logits = (keys @ clip_weights.T).softmax(1)
    cache_div = torch.sum(values * torch.log2((values + 1e-6) / (key_logits + 1e-6)), dim=1)[:, None]
    soft = values * (cache_div * 0.4).exp()
    expected = 100.0 * QUERY @ TEXTS.T
    expected[:, :WAY] += 2 * ((-1) * (3 - 3 * features @ keys.T)).exp() @ soft
    equal(answers(APE(channels=5 / D, similarity_weight=omega, alpha=2.0, beta=3.0, gamma=0.4)), expected)


def test_ape_chooses_the_channels_of_an_unbalanced_support():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    support = unit(6, D, seed=4)
    method = APE(channels=3 / D)
    targets = F.one_hot(labels).double()
    found = method.chosen(support[None], targets[None], TEXTS[None, :WAY])[0]
    assert set(found.tolist()) == set(chosen(support, labels, TEXTS[:WAY], 3, 0.7).tolist())


@pytest.mark.verdict("oneshot/zlap", against="the authors' graph, edge by edge, and its inverse", within=1e-9)
@pytest.mark.parametrize(("k", "queries"), [(3, 9), (5, 2)])
def test_zlap(equal, k, queries):
    query, classes = unit(queries, D, seed=6) - 0.2, WAY + NEW
    query = query / query.norm(dim=1, keepdim=True)
    w = torch.zeros(classes + queries, classes + queries).double()
    for row, item in enumerate(query):
        for column in (query @ item).topk(min(k, queries)).indices.tolist():
            w[classes + row, classes + column] = max(float(query[column] @ item), 0.0)
        for column in (TEXTS @ item).topk(min(k, classes)).indices.tolist():
            w[classes + row, column] = max(float(TEXTS[column] @ item), 0.0) ** 5
    w = w + w.T
    w = w - w.diag().diag()
    sums = w.sum(1)
    sums[sums == 0] = 1
    normalized = torch.diag(sums**-0.5) @ w @ torch.diag(sums**-0.5)
    inverse = torch.linalg.inv(torch.eye(len(w)).double() - 0.3 * normalized)
    equal(ZLaP(neighbors=k)(SUPPORT, LABELS, query, TEXTS, way=WAY), inverse[classes:, :classes])


@pytest.mark.verdict(
    "oneshot/em_dirichlet", against="the authors' code, restated, with as many inner steps", within=1e-8
)
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_em_dirichlet(equal, weight):
    z_s, z_q = ((30 * side @ TEXTS.T).softmax(1) for side in (SUPPORT, QUERY))
    classes = WAY + NEW
    y, u = F.one_hot(LABELS, classes).double(), z_q.clone()
    log_s, log_q = (z_s + 1e-15).log(), (z_q + 1e-15).log()
    alpha = torch.ones(classes, classes).double()
    for _ in range(4):
        cst = (1 / (y.sum(0) + u.sum(0)))[:, None] * (
            (y[:, :, None] * log_s[:, None]).sum(0) + (u[:, :, None] * log_q[:, None]).sum(0)
        )
        for _ in range(30):
            digamma = torch.polygamma(0, alpha + 1)
            a = (
                2 * (torch.lgamma(torch.ones(1).double()) - torch.lgamma(alpha + 1) + digamma * alpha) / alpha**2
            ).abs()
            b = digamma - torch.polygamma(0, alpha.sum(-1))[:, None] - a * alpha - cst
            alpha = (-b + torch.sqrt(b**2 + 4 * a)) / (2 * a)
        v = torch.log(u.sum(0) / QUERIES + 1e-15) + 1
        logits = torch.lgamma(alpha.sum(-1)) - torch.lgamma(alpha).sum(-1) + ((alpha - 1) * log_q[:, None]).sum(-1)
        u = (logits + weight * v).softmax(1)
    found = answers(EMDirichlet(partition_weight=weight, rounds=4, steps=30))
    equal(found.softmax(-1), u)


def test_em_dirichlet_fits_classes_that_queries_all_but_leave():
    """The mean of a class is that of its queries, however little they belong to it; it was 0 below 1e-15."""
    texts = unit(2 * WAY, D, seed=7)
    support, query = (F.normalize(texts[:WAY] + 0.1 * unit(WAY, D, seed=seed), dim=-1) for seed in (8, 9))
    labels = torch.arange(WAY)
    for scale, weight in ((30.0, 1.0), (100.0, 3.0)):
        logits = EMDirichlet(scale=scale, partition_weight=weight)(support, labels, query, texts, way=WAY)
        assert logits.argmax(dim=-1).tolist() == labels.tolist()


def test_adamw_takes_the_steps_of_torch_whether_or_not_they_are_recorded():
    start, target = unit(2, 3, 4, seed=1), unit(2, 3, 4, seed=2)
    rates = cosine_schedule(0.1, 5)
    theirs = nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([theirs], lr=1.0, weight_decay=0.3)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        theirs.grad = (theirs - target).detach() ** 3
        optimizer.step()
    for recorded in (False, True):
        given = start.clone().requires_grad_(recorded)
        (ours,) = adamw([given], lambda values: [(values[0] - target) ** 3], rates, decay=0.3)
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
        torch.testing.assert_close(given.detach(), start, atol=0, rtol=0)  # untouched
        assert ours.requires_grad is recorded


def test_dirichlet_parameters_reach_the_largest_likelihood():
    true = torch.tensor([2.0, 5.0, 0.7]).double()
    means = torch.digamma(true) - torch.digamma(true.sum())  # of the logarithms, under these parameters
    found = EMDirichlet(steps=3000)._fitted(torch.ones(1, 1, 3).double(), means.view(1, 1, 3))
    torch.testing.assert_close(found.flatten(), true)
