"""Few shots beside class texts: each method against a loop over one episode with torch's optimizers."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.functional import AlignedSpace, aligned_space
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.methods.oneshot import (
    CLAP,
    GDA,
    TDA,
    CrossModal,
    LPPlusPlus,
    StatA,
    TaskRes,
    TextOnly,
    TipAdapterF,
    TransCLIP,
)

WAY, SHOT, NEW, D, QUERIES = 3, 4, 1, 7, 9
LABELS = torch.arange(WAY).repeat(SHOT)
STEPS = 25


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


@pytest.mark.verdict("oneshot/text_only", against="the formula", within=1e-12)
def test_text_only(equal):
    equal(answers(TextOnly(scale=7.0)), 7 * QUERY @ TEXTS.T)


@pytest.mark.verdict("oneshot/gda", against="the authors' code, restated, with its pseudo-inverse", within=1e-9)
def test_gda(equal):
    means = torch.stack([SUPPORT[label == LABELS].mean(0) for label in range(WAY)])
    centered = torch.cat([SUPPORT[label == LABELS] - means[label] for label in range(WAY)])
    covariance = centered.T.cov()
    precision = D * torch.linalg.pinv((len(centered) - 1) * covariance + covariance.trace() * torch.eye(D).double())
    weights = means @ precision
    bias = math.log(1 / WAY) - (weights * means).sum(1) / 2
    expected = 100 * QUERY @ TEXTS.T
    expected[:, :WAY] += 0.3 * (QUERY @ weights.T + bias)
    equal(answers(GDA(alpha=0.3)), expected)


def test_gda_of_one_shot_leaves_the_texts():
    logits = GDA(alpha=5.0)(SUPPORT[:WAY], LABELS[:WAY], QUERY, TEXTS, way=WAY)
    difference = (logits - 100 * QUERY @ TEXTS.T)[:, :WAY]
    torch.testing.assert_close(difference, torch.full_like(difference, -5 * math.log(WAY)))


@pytest.mark.verdict(
    "oneshot/lp_plus_plus", against="the authors' loop, restated, alpha by its own gradient", within=1e-8
)
def test_lp_plus_plus(equal):
    texts = TEXTS[:WAY].T
    weights = torch.stack([SUPPORT[label == LABELS].sum(0) for label in range(WAY)]).requires_grad_()
    own = torch.stack([(SUPPORT @ texts)[label == LABELS, label].mean() for label in range(WAY)])
    alpha = (250 * own.mean() * torch.ones(WAY).double()).requires_grad_()
    first = alpha.detach().clone()
    rate = 4 * len(SUPPORT) / torch.linalg.eigvalsh(SUPPORT.T @ SUPPORT).max()
    blend_rate = len(SUPPORT) / (4 * (SUPPORT @ texts).square().sum(0).max())
    optimizer = torch.optim.SGD([weights], lr=float(rate), momentum=0.9)
    for step in range(STEPS):
        optimizer.zero_grad()
        alpha.grad = None
        F.cross_entropy(SUPPORT @ weights.T + alpha * (SUPPORT @ texts), LABELS).backward()
        optimizer.step()
        if (step + 1) % 10 == 0:
            alpha.data -= blend_rate * alpha.grad
    trained = QUERY @ weights.T + alpha * (QUERY @ texts)
    equal(answers(LPPlusPlus(steps=STEPS)), torch.cat([trained, first[:1] * QUERY @ TEXTS[WAY:].T], dim=1))


def rates(lr):
    return [1e-5, *(lr * (1 + math.cos(math.pi * step / STEPS)) / 2 for step in range(1, STEPS))]


def trained(start, loss, *, lr):
    """SGD with momentum of torch, on a parameter that starts somewhere."""
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=lr, momentum=0.9)
    for rate in rates(lr):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss(weights).backward()
        optimizer.step()
    return weights.detach()


def cosines(features, weights):
    return features @ F.normalize(weights, dim=-1).T


@pytest.mark.verdict("oneshot/clap", against="the authors' loop, restated, on texts of length 10", within=1e-9)
def test_clap(equal):
    texts = 10 * TEXTS[:WAY]
    given = F.one_hot(LABELS).double()
    probabilities = (20 * cosines(SUPPORT, texts)).softmax(-1)
    trust = torch.diag(probabilities.T @ given) / given.sum(0)

    def loss(weights):
        pull = ((weights - texts).square().sum(-1) * trust).mean()
        return F.cross_entropy(20 * cosines(SUPPORT, weights), LABELS) + pull

    weights = trained(texts, loss, lr=0.1)
    expected = 20 * cosines(QUERY, torch.cat([weights, TEXTS[WAY:]]))
    equal(answers(CLAP(scale=20.0, steps=STEPS)), expected)


@pytest.mark.verdict("oneshot/task_res", against="a loop with torch's SGD on the residual", within=1e-9)
def test_task_res(equal):
    texts = 10 * TEXTS[:WAY]
    start = torch.zeros_like(texts)
    residual = trained(start, lambda r: F.cross_entropy(20 * cosines(SUPPORT, texts + 0.5 * r), LABELS), lr=0.1)
    expected = 20 * cosines(QUERY, torch.cat([texts + 0.5 * residual, TEXTS[WAY:]]))
    equal(answers(TaskRes(scale=20.0, steps=STEPS)), expected)


@pytest.mark.verdict("oneshot/cross_modal", against="a loop with torch's SGD on pictures and texts", within=1e-9)
def test_cross_modal(equal):
    texts = 10 * TEXTS[:WAY]

    def loss(weights):
        pictures = F.cross_entropy(20 * cosines(SUPPORT, weights), LABELS)
        return (pictures + F.cross_entropy(20 * cosines(TEXTS[:WAY], weights), torch.arange(WAY))) / 2

    expected = 20 * cosines(QUERY, torch.cat([trained(texts, loss, lr=0.1), TEXTS[WAY:]]))
    equal(answers(CrossModal(scale=20.0, steps=STEPS)), expected)


@pytest.mark.verdict("oneshot/tip_adapter_f", against="the authors' loop, restated, with torch's AdamW", within=1e-9)
@pytest.mark.parametrize("steps", [0, 6])
def test_tip_adapter_f(equal, steps):
    keys, values = SUPPORT.clone().requires_grad_(), F.one_hot(LABELS).double()
    optimizer = torch.optim.AdamW([keys], lr=0.01, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))

    def scores(features, texts):
        cached = torch.exp(-(5.5 - 5.5 * features @ keys.T)) @ values
        return 100 * features @ texts.T + 2 * F.pad(cached, (0, len(texts) - WAY))

    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(scores(SUPPORT, TEXTS[:WAY]), LABELS).backward()
        optimizer.step()
        schedule.step()
    equal(answers(TipAdapterF(alpha=2.0, steps=steps, lr=0.01)), scores(QUERY, TEXTS).detach())


@pytest.mark.verdict("oneshot/tda", against="the authors' loop over queries, restated, with its lists", within=1e-12)
@pytest.mark.parametrize("scale", [100.0, 5.0])
def test_tda(equal, scale):
    queries = unit(40, D, seed=5)
    classes = WAY + NEW
    sure, unsure, expected = {}, {}, []

    def update(cache, label, item, capacity):
        held = cache.setdefault(label, [])
        if len(held) < capacity:
            held.append(item)
        elif item[1] < held[-1][1]:
            held[-1] = item
        cache[label] = sorted(held, key=lambda each: each[1])

    entered = 0
    for query in queries:
        logits = scale * query @ TEXTS.T
        probabilities = logits.softmax(-1)
        entropy = float(-(probabilities * logits.log_softmax(-1)).sum())
        label = int(logits.argmax())
        update(sure, label, (query, entropy), 3)
        if 0.2 < entropy / math.log2(classes) < 0.5:
            entered += 1
            update(unsure, label, (query, entropy, probabilities), 2)
        final = logits.clone()
        for place, held in sure.items():
            final[place] += sum(2.0 * math.exp(-(5 - 5 * float(query @ item[0]))) for item in held)
        for held in unsure.values():
            for item in held:
                mask = ((item[2] > 0.03) & (item[2] < 1.0)).double()
                final -= 0.117 * math.exp(-(1 - float(query @ item[0]))) * mask
        expected.append(final)
    assert scale == 100.0 or entered > 4
    equal(TDA(scale=scale)(SUPPORT, LABELS, queries, TEXTS, way=WAY), torch.stack(expected))


@pytest.mark.verdict("oneshot/trans_clip", against="the paper's updates, item by item", within=1e-9)
def test_trans_clip(equal):
    gamma, lam, k, rounds = 0.02, 0.5, 3, 10
    queries, classes = unit(12, D, seed=6), WAY + NEW
    guess = (20 * queries @ TEXTS.T).softmax(-1)
    z, given = guess.clone(), F.one_hot(LABELS, classes).double()

    def nearest(row, but=None):
        order = [int(j) for j in (queries @ row).argsort(descending=True) if int(j) != but]
        return order[:k]

    means = torch.stack([SUPPORT[label == LABELS].sum(0) for label in range(WAY)])
    top = z[:, WAY].topk(8).indices
    means = F.normalize(torch.cat([means, (z[top, WAY, None] * queries[top]).sum(0)[None]]), dim=-1)
    variances = torch.full((D,), 1 / D).double()
    for rounds_left in range(rounds, -1, -1):
        density = -0.5 * ((queries[:, None] - means[None]).square() / variances).sum(-1)
        for _ in range(5):
            smooth = torch.zeros_like(z)
            for i, row in enumerate(queries):  # w is not symmetric: both directions count, each once
                for j in nearest(row, but=i):
                    smooth[j] += (row @ queries[j]) * z[i]
                    smooth[i] += (row @ queries[j]) * z[j]
            for row, target in zip(SUPPORT, given, strict=True):
                for j in nearest(row):
                    smooth[j] += (row @ queries[j]) * target
            logits = lam * guess.log() + (density + 50 / (2 * k) * smooth) / 50
            z = logits.softmax(-1)
        if rounds_left:
            weights = torch.cat([z / len(queries), gamma * 50 / len(SUPPORT) * given])
            points = torch.cat([queries, SUPPORT])
            means = F.normalize(weights.T @ points, dim=-1)
            spread = (weights[:, :, None] * (points[:, None] - means[None]).square()).sum((0, 1))
            variances = spread / weights.sum()
    found = TransCLIP(scale=20.0)(SUPPORT, LABELS, queries, TEXTS, way=WAY)
    equal(found, logits.log_softmax(-1))


@pytest.mark.verdict("oneshot/stat_a", against="the authors' solver, restated", within=1e-8)
@pytest.mark.parametrize("queries", [12, 2])
def test_stat_a(equal, queries):
    query, alpha, k = unit(queries, D, seed=6), 1.5, 3
    guess = (20 * query @ TEXTS.T).softmax(1)
    z, means, classes = guess.clone(), TEXTS.clone(), len(TEXTS)
    first = torch.einsum("ij,ijk->k", z, (query[:, None] - means[None]).square()) / queries
    covariance = first = first.repeat(classes, 1)
    w = torch.zeros(queries, queries).double()
    for row in range(queries):
        for column in [int(j) for j in (query @ query[row]).argsort(descending=True) if j != row][:k]:
            w[row, column] = query[row] @ query[column]
    for left in range(10, -1, -1):
        density = -0.5 * ((query[:, None] - means[None]).square() / covariance[None]).sum(2)
        for _ in range(5):
            inner = density + 50 / (2 * k) * (w.T @ z + w @ z) - 0.5 * covariance.log().sum(1)
            inner = guess * torch.exp((inner - inner.max(1, keepdim=True).values) / 50)
            z = inner / inner.sum(1, keepdim=True)
        if left:
            counts = torch.bincount(z.argmax(1), minlength=classes)
            beta = (counts / (alpha + counts + 1e-12)).double()[:, None]
            found = F.normalize((z.T @ query) / z.sum(0)[:, None], dim=-1)
            means = F.normalize(beta * found + (1 - beta) * TEXTS, dim=-1)
            own = ((query[:, None] - means[None]).square() * z[:, :, None]).sum(0) / z.sum(0)[:, None]
            covariance = beta * own + (1 - beta) * (first + (TEXTS - means).square())
    equal(StatA(scale=20.0, anchor=alpha)(SUPPORT, LABELS, query, TEXTS, way=WAY).exp(), z)


class Nothing(ImageTextClassifier):
    pass


def test_a_class_without_an_answer_is_named():
    with pytest.raises(NotImplementedError, match=r"Nothing implements no answer\(support"):
        Nothing()(SUPPORT, LABELS, QUERY, TEXTS, way=WAY)


# --- two encoders that were trained apart


def rotated(count, seed):
    """Pictures whose features are a linear map of their class's text, and noise."""
    generator = torch.Generator().manual_seed(9)
    change = torch.randn(6, D, generator=generator)
    own = torch.Generator().manual_seed(seed)
    texts = F.normalize(torch.randn(count, 6, generator=own), dim=-1)
    labels = torch.arange(count).repeat(5)
    features = texts[labels] @ change + 3 + 0.1 * torch.randn(5 * count, D, generator=own)
    return features, labels, texts


def test_joined_encoders_know_new_classes_by_their_text():
    space = aligned_space(*rotated(30, seed=0), held_out=rotated(12, seed=1))
    assert isinstance(space, AlignedSpace)
    features, labels, texts = rotated(12, seed=2)
    answers = (space.pictures(features) @ space.texts(texts).T).argmax(1)
    assert float((answers == labels).float().mean()) > 0.9


@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_the_map_is_the_ridge_solution(penalty):
    features, labels, texts = rotated(10, seed=0)
    space = aligned_space(features, labels, texts, held_out=rotated(5, seed=1), penalties=(penalty,), scales=(3.0,))
    assert (space.penalty, space.scale) == (penalty, 3.0)
    rows = (F.normalize(texts, dim=-1) - space.text_mean).requires_grad_(False)
    directions = space.pictures(features)
    targets = torch.stack([directions[labels == label].mean(0) for label in range(10)])
    weights = space.weights.clone().requires_grad_()
    size = rows.square().sum() / rows.shape[1]
    ((rows @ weights - targets).square().sum() + penalty * size * weights.square().sum()).backward()
    assert float(weights.grad.abs().max()) < 1e-4


def test_nothing_to_join_on_is_said():
    features, labels, texts = rotated(5, seed=0)
    with pytest.raises(ValueError, match="0 pictures to join on"):
        aligned_space(features[:0], labels[:0], texts, held_out=(features, labels, texts))
