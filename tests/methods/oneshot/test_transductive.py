"""Transductive classifiers against loops and autograd, and what their papers say holds."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.oneshot import (
    BDCSPN,
    PTMAP,
    TIM,
    AlphaTIM,
    BaselinePP,
    Finetune,
    LabelPropagation,
    LaplacianShot,
    TransductiveFinetuning,
)
from tlzoo.registry import accepted_settings, create_method, list_methods, method_class
from tlzoo.types import Sees

WAY = 3
TRANSDUCTIVE = [
    name
    for name in list_methods("oneshot")
    if Sees.TEST_INPUTS in method_class(name).sees and issubclass(method_class(name), EpisodeClassifier)
]


@pytest.fixture
def episodes():
    generator = torch.Generator().manual_seed(3)
    support = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64) + 1
    query = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64) + 1
    labels = torch.tensor([[0, 1, 2, 2, 1, 0, 0], [2, 2, 2, 0, 1, 1, 0]])
    return support, labels, query


def each(episodes):
    return zip(*episodes, strict=True)


def means(support, labels):
    return torch.stack([support[labels == c].mean(dim=0) for c in range(WAY)])


def cosines(items, weights):
    return F.cosine_similarity(items.unsqueeze(1), weights.unsqueeze(0), dim=-1)


def rectified(support, labels, query, sharpness):
    query = query + support.mean(dim=0) - query.mean(dim=0)
    centers = means(support, labels)
    guessed = [max(range(WAY), key=lambda c, q=q: F.cosine_similarity(q, centers[c], dim=0)) for q in query]
    found = []
    for c in range(WAY):
        members = [s for s, y in zip(support, labels, strict=True) if y == c]
        members += [q for q, g in zip(query, guessed, strict=True) if g == c]
        weights = [math.exp(sharpness * F.cosine_similarity(m, centers[c], dim=0).item()) for m in members]
        found.append(sum(w * m for w, m in zip(weights, members, strict=True)) / sum(weights))
    return torch.stack(found), query


@pytest.mark.parametrize("answered", ["shifted", "given"])
@pytest.mark.verdict("oneshot/bd_cspn", against="the formula, item by item", within=1e-09)
def test_bd_cspn(episodes, answered, equal):
    expected = []
    for support, labels, query in each(episodes):
        centers, moved = rectified(support, labels, query, 2.0)
        expected.append(3 * cosines(moved if answered == "shifted" else query, centers))
    method = BDCSPN(5, transform="UN", sharpness=2.0, temperature=3.0, answered=answered)
    equal(method.double()(*episodes, way=WAY), torch.stack(expected))


def softly_rectified(support, labels, query, sharpness):
    """The rectification of LaplacianShot's authors, one class after the other."""
    query = query + support.mean(dim=0) - query.mean(dim=0)
    items = torch.cat([support, query])
    alike = cosines(items, means(support, labels))
    shares, joined = (sharpness * alike).softmax(dim=1), alike.argmax(dim=1)
    centers = [(shares[joined == c, c].unsqueeze(1) * items[joined == c]).mean(dim=0) for c in range(WAY)]
    return torch.stack(centers), query


@pytest.mark.parametrize(
    ("rectification", "prototypes"),
    [
        ("softmax", softly_rectified),
        ("bd_cspn", rectified),
        ("none", lambda support, labels, query, _: (means(support, labels), query)),
    ],
)
@pytest.mark.verdict("oneshot/laplacian_shot", against="the formula, item by item", within=1e-06)
def test_laplacian_shot(episodes, rectification, prototypes, equal):
    expected = []
    for support, labels, query in each(episodes):
        centers, moved = prototypes(support, labels, query, 2.0)
        distances = [[((q - c) ** 2).sum().item() for c in centers] for q in moved]
        pairs = torch.cdist(moved, moved).tolist()
        near = [sorted((j for j in range(6) if j != i), key=lambda j, i=i: pairs[i][j])[:2] for i in range(6)]
        logits = [[-d for d in row] for row in distances]
        for _ in range(4):
            shares = torch.tensor(logits).softmax(dim=-1).tolist()
            logits = [
                [-distances[i][c] + 0.7 * sum(shares[j][c] for j in near[i]) for c in range(WAY)] for i in range(6)
            ]
        expected.append(torch.tensor(logits, dtype=torch.float64))
    method = LaplacianShot(5, transform="UN", steps=4, rectification=rectification, sharpness=2.0)
    equal(method.double()(*episodes, way=WAY), torch.stack(expected))


def test_a_class_that_nothing_joins_keeps_its_mean():
    support = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [1.0, 0.1], [-1.0, 0.1]]])
    labels = torch.tensor([[0, 1, 2, 2]])  # both of class 2 are nearer to another class than to their own mean
    method = LaplacianShot(2, transform="UN")
    centers, _ = method._prototypes(support, labels, support[:, :2], way=3)
    torch.testing.assert_close(centers[0, 2], torch.tensor([0.0, 0.1]))


def descended(weights, loss, steps, rate):
    first, second = torch.zeros_like(weights), torch.zeros(len(weights), 1, dtype=weights.dtype)
    for step in range(1, steps + 1):
        weights = weights.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(weights), weights)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square().sum(dim=1, keepdim=True)
        step_size = rate / (1 - 0.9**step)
        weights = weights - step_size * first / (second / (1 - 0.999**step) + 1e-12).sqrt()
    return weights.detach()


def shannon(p):
    return -(p * p.log()).sum(dim=-1)


def by_cosine(items, w):
    return 8 * cosines(items, w)


def by_distance(items, w):
    return -4 * torch.cdist(items, w).square()


@pytest.mark.parametrize(("distance", "logits"), [("cosine", by_cosine), ("euclidean", by_distance)])
@pytest.mark.verdict("oneshot/tim", against="a loop of descent by autograd", within=1e-06)
def test_tim_descends_its_loss(episodes, distance, logits, equal):
    expected = []
    for support, labels, query in each(episodes):

        def loss(w, support=support, labels=labels, query=query):
            p = logits(query, w).softmax(dim=-1)
            fit = F.cross_entropy(logits(support, w), labels)
            return 0.3 * fit + 0.2 * shannon(p).mean() - shannon(p.mean(dim=0))

        expected.append(logits(query, descended(means(support, labels), loss, steps=15, rate=0.05)))
    weights = {"support_weight": 0.3, "conditional_weight": 0.2}
    method = TIM(5, transform="UN", distance=distance, temperature=8.0, steps=15, rate=0.05, **weights).double()
    equal(method(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.parametrize(
    "method",
    [
        TIM(5),
        TIM(5, support_weight=2.0, conditional_weight=0.5),
        AlphaTIM(5),
        AlphaTIM(5, alpha=1.5),
        TransductiveFinetuning(5),
        Finetune(5),
        BaselinePP(5),
    ],
)
def test_the_fast_gradient_is_that_of_the_objective(method, episodes):
    support, labels, query = episodes
    items = support if isinstance(method, Finetune | BaselinePP) else torch.cat([support, query], dim=1)
    logits = (items @ torch.randn(5, WAY, generator=torch.Generator().manual_seed(3)).double()).requires_grad_()
    members = F.one_hot(labels, WAY).double()
    objective = method.objective(logits, members)
    assert objective.shape == (2,)
    (expected,) = torch.autograd.grad(objective.sum(), logits)
    torch.testing.assert_close(method.gradient(logits, members), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.verdict("oneshot/alpha_tim", against="a loop of descent by autograd", within=1e-06)
def test_alpha_tim_descends_its_loss(episodes, equal):
    def entropy(p, alpha=3.0):
        return (1 - (p**alpha).sum(dim=-1)) / (alpha - 1)

    def logits(items, w):
        return -2.0 * torch.cdist(items, w).square()

    expected = []
    for support, labels, query in each(episodes):

        def loss(w, support=support, labels=labels, query=query):
            p = logits(query, w).softmax(dim=-1)
            return F.cross_entropy(logits(support, w), labels) + entropy(p).mean() - entropy(p.mean(dim=0))

        expected.append(logits(query, descended(means(support, labels), loss, steps=15, rate=0.02)))
    method = AlphaTIM(5, transform="UN", alpha=3.0, temperature=4.0, steps=15).double()
    equal(method(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.verdict("oneshot/transductive_finetuning", against="a loop of descent by autograd", within=1e-06)
def test_transductive_finetuning_descends_its_loss(episodes, equal):
    expected = []
    for support, labels, query in each(episodes):

        def loss(w, support=support, labels=labels, query=query):
            certain = shannon((5 * cosines(query, w)).softmax(dim=-1)).mean()
            return F.cross_entropy(5 * cosines(support, w), labels) + certain

        expected.append(5 * cosines(query, descended(means(support, labels), loss, steps=15, rate=0.01)))
    method = TransductiveFinetuning(5, transform="UN", temperature=5.0, steps=15).double()
    equal(method(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.verdict("oneshot/label_propagation", against="the iteration, to its end", within=1e-06)
def test_label_propagation_is_where_the_iteration_ends(episodes, equal):
    expected = []
    for support, labels, query in each(episodes):
        items = torch.cat([support, query])
        count = len(items)
        distances = torch.cdist(items, items).square()
        width = 0.2 * distances.sum() / (count * (count - 1))
        near = [
            sorted((j for j in range(count) if j != i), key=lambda j, i=i: distances[i, j])[:4] for i in range(count)
        ]
        edges = torch.zeros(count, count, dtype=torch.float64)
        for i in range(count):
            for j in range(count):
                if j in near[i] or i in near[j]:
                    edges[i, j] = math.exp(-distances[i, j] / (2 * width))
        degrees = edges.sum(dim=1)
        smooth = edges / torch.outer(degrees, degrees).sqrt()
        known = torch.cat([F.one_hot(labels, WAY), torch.zeros(6, WAY)]).double()
        reached = known
        for _ in range(2000):
            reached = 0.8 * smooth @ reached + known
        expected.append(reached[7:].log())
    method = LabelPropagation(5, transform="UN", share=0.8, width=0.2, neighbors=4).double()
    equal(method(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.verdict("oneshot/pt_map", against="the formula, with a plain Sinkhorn loop", within=1e-05)
def test_pt_map_with_a_plain_sinkhorn(episodes, equal):
    def normalized(rows):
        return rows / rows.norm(dim=1, keepdim=True)

    def plan(query, centers):
        found = (-10 * torch.cdist(query, centers).square()).exp()
        for _ in range(2000):
            found = found / found.sum(dim=0) * (len(query) / WAY)
            found = found / found.sum(dim=1, keepdim=True)
        return found

    expected = []
    for support, labels, query in each(episodes):
        support, query = (normalized((f.relu() + 1e-6) ** 0.5) for f in (support, query))
        support, query = (normalized(f - f.mean(dim=0)) for f in (support, query))
        centers = means(support, labels)
        for _ in range(3):
            shares = torch.cat([F.one_hot(labels, WAY).double(), plan(query, centers)])
            moved = shares.T @ torch.cat([support, query]) / shares.sum(dim=0).unsqueeze(1)
            centers = centers + 0.2 * (moved - centers)
        expected.append(plan(query, centers).log())
    equal(PTMAP(steps=3, iterations=3000).double()(*episodes, way=WAY), torch.stack(expected))


def test_pt_map_balances_queries_only_where_it_is_told_to(episodes):
    shares = PTMAP(iterations=500).double()(*episodes, way=WAY).exp()
    torch.testing.assert_close(shares.sum(dim=1), torch.full((2, WAY), 2.0, dtype=torch.float64), rtol=1e-3, atol=1e-3)
    free = PTMAP(queries="unbalanced").double()(*episodes, way=WAY).exp()
    torch.testing.assert_close(free.sum(dim=2), torch.ones(2, 6, dtype=torch.float64))
    assert (free.sum(dim=1) - 2).abs().max() > 0.1


@pytest.mark.parametrize("name", TRANSDUCTIVE)
def test_answers_depend_on_the_company_of_a_query_but_not_on_its_order(name, episodes):
    support, labels, query = episodes
    method = create_method(name, **accepted_settings(name, num_features=5)).double()
    if Sees.SOURCE_INPUTS in method.sees:
        method.fit_base(query[0] * 0.1, None)
    whole = method(support, labels, query, way=WAY)
    torch.testing.assert_close(method(support, labels, query.flip(1), way=WAY).flip(1), whole, rtol=1e-7, atol=1e-7)
    assert (method(support, labels, query[:, :3], way=WAY) - whole[:, :3]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AlphaTIM(4, alpha=1.0), "alpha 1.0; expected a number > 1"),
        (lambda: PTMAP(queries="equal"), "unknown queries 'equal'; expected balanced or unbalanced"),
        (lambda: LabelPropagation(4, share=1.0), r"share 1.0; expected a number in \(0, 1\)"),
        (lambda: LaplacianShot(4, neighbors=0), "neighbors 0; expected at least 1, an integer"),
    ],
)
def test_refusals(build, message):
    with pytest.raises(ValueError, match=message):
        build()
