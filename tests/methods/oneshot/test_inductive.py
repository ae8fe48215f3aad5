"""Inductive classifiers against loops, solvers of others, and autograd."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from tlzoo.methods.oneshot import (
    FEAT,
    R2D2,
    BaselinePP,
    Finetune,
    LinearBaseline,
    Logistic,
    MatchingNet,
    MetaOptNet,
    RelationNet,
    Siamese,
)

WAY = 3


@pytest.fixture
def episodes():
    generator = torch.Generator().manual_seed(3)
    support = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    query = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 2, 1, 0, 0], [2, 2, 2, 0, 1, 1, 0]])  # unequal shots
    return support, labels, query


def each(episodes):
    return zip(*episodes, strict=True)


def means(support, labels):
    return torch.stack([support[labels == c].mean(dim=0) for c in range(WAY)])


@pytest.mark.parametrize("scale", [1.0, 7.0])
@pytest.mark.verdict("oneshot/matching_net", against="the formula, item by item", within=1e-12)
def test_matching_net_sums_attention_within_classes(episodes, scale, equal):
    expected = []
    for support, labels, query in each(episodes):
        rows = []
        for q in query:
            weights = [math.exp(scale * F.cosine_similarity(q, s, dim=0).item()) for s in support]
            shares = [sum(w for w, y in zip(weights, labels, strict=True) if y == c) for c in range(WAY)]
            rows.append([math.log(share / sum(weights)) for share in shares])
        expected.append(torch.tensor(rows, dtype=torch.float64))
    equal(MatchingNet(scale=scale)(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.verdict("oneshot/r2d2", against="ridge regression in primal form", within=1e-06)
def test_r2d2_is_ridge_regression_in_its_primal_form(episodes, equal):
    method = R2D2(penalty=0.3).double()
    with torch.no_grad():
        method.scale.fill_(2.0)
        method.offset.fill_(0.5)
    expected = []
    for support, labels, query in each(episodes):
        penalty = 0.3 * support.square().sum(dim=1).mean()
        covariance = support.T @ support + penalty * torch.eye(5, dtype=torch.float64)
        weights = torch.linalg.solve(covariance, support.T @ F.one_hot(labels, WAY).double())
        expected.append(2 * query @ weights + 0.5)
    equal(method(*episodes, way=WAY).detach(), torch.stack(expected))  # the penalty is kept in single precision


@pytest.mark.parametrize("strength", [1.0, 20.0])
@pytest.mark.verdict("oneshot/logistic", against="scikit-learn", within=1e-05)
def test_logistic_is_scikit_learns(episodes, strength, equal):
    expected = []
    for support, labels, query in each(episodes):
        peer = LogisticRegression(C=strength, tol=1e-12, max_iter=5000).fit(support.numpy(), labels.numpy())
        scores = query.numpy() @ peer.coef_.T + peer.intercept_
        expected.append(torch.from_numpy(scores).log_softmax(dim=-1))
    method = Logistic(5, transform="UN", strength=strength, steps=3000).double()
    equal(method(*episodes, way=WAY).log_softmax(dim=-1), torch.stack(expected))


def test_logistic_has_converged_by_default_on_normalized_features():
    generator = torch.Generator().manual_seed(0)
    support = torch.randn(4, 20, 64, generator=generator, dtype=torch.float64)
    episodes = support, torch.arange(20).repeat(4, 1), torch.randn(4, 9, 64, generator=generator, dtype=torch.float64)
    few, many = (Logistic(64, transform="L2N", **s).double()(*episodes, way=20) for s in ({}, {"steps": 2000}))
    torch.testing.assert_close(few, many, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dampening", [0.0, 0.9])
@pytest.mark.verdict("oneshot/linear_baseline", against="a loop of gradient descent", within=1e-12)
def test_linear_baseline_is_gradient_descent_with_momentum(episodes, dampening, equal):
    expected = []
    for support, labels, query in each(episodes):
        layer = torch.nn.Linear(5, WAY).double()
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, dampening=dampening, weight_decay=1e-3)
        for _ in range(30):
            optimizer.zero_grad()
            F.cross_entropy(layer(support), labels).backward()
            optimizer.step()
        expected.append(layer(query).detach())
    method = LinearBaseline(5, transform="UN", steps=30, rate=0.1, dampening=dampening)
    equal(method.double()(*episodes, way=WAY), torch.stack(expected))


def descended(weights, loss, steps, rate):
    """Adam of torch's own formulas, but for one second moment a row."""
    first, second = torch.zeros_like(weights), torch.zeros(len(weights), 1, dtype=weights.dtype)
    for step in range(1, steps + 1):
        weights = weights.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(weights), weights)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square().sum(dim=1, keepdim=True)
        step_size = rate / (1 - 0.9**step)
        weights = weights - step_size * first / (second / (1 - 0.999**step) + 1e-12).sqrt()
    return weights.detach()


@pytest.mark.parametrize(
    ("method", "scale"),
    [
        pytest.param(
            BaselinePP(5, transform="UN", scale=4.0, steps=20, rate=0.05),
            4.0,
            marks=pytest.mark.verdict("oneshot/baseline_pp", against="a loop of Adam by autograd", within=1e-7),
        ),
        pytest.param(
            Finetune(5, transform="UN", temperature=3.0, steps=20, rate=0.05),
            3.0,
            marks=pytest.mark.verdict("oneshot/finetune", against="a loop of Adam by autograd", within=1e-7),
        ),
    ],
)
def test_cosine_classifiers_descend_the_cross_entropy(episodes, method, scale, equal):
    def cosines(items, weights):
        return F.cosine_similarity(items.unsqueeze(1), weights.unsqueeze(0), dim=-1)

    expected = []
    for support, labels, query in each(episodes):
        fitted = descended(
            means(support, labels),
            lambda w, s=support, y=labels: F.cross_entropy(scale * cosines(s, w), y),
            steps=20,
            rate=0.05,
        )
        expected.append(scale * cosines(query, fitted))
    equal(method.double()(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.parametrize("slack", [0.1, 2.0])
@pytest.mark.verdict("oneshot/metaoptnet", against="the dual program, by a general solver", within=0.0001)
def test_metaoptnet_solves_the_dual_of_the_support_vector_machine(episodes, slack, equal):
    expected = []
    for support, labels, query in each(episodes):
        size = support.square().sum(dim=1).mean().sqrt()
        kernel = (support @ support.T / size**2).numpy()
        wanted = np.eye(WAY)[labels.numpy()]

        def objective(flat, kernel=kernel, wanted=wanted):
            duals = flat.reshape(wanted.shape)
            return 0.5 * np.sum(duals * (kernel @ duals)) - np.sum(duals * wanted), (kernel @ duals - wanted).ravel()

        found = minimize(
            objective,
            np.zeros(wanted.size),
            jac=True,
            method="SLSQP",
            bounds=[(None, slack * y) for y in wanted.ravel()],
            constraints={"type": "eq", "fun": lambda flat: flat.reshape(-1, WAY).sum(axis=1)},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        duals = torch.from_numpy(found.x.reshape(-1, WAY))
        expected.append(query / size @ (support / size).T @ duals)
    method = MetaOptNet(slack=slack, steps=2000).double()
    equal(method(*episodes, way=WAY).detach(), torch.stack(expected))
    default = MetaOptNet(slack=slack).double()(*episodes, way=WAY).detach()
    torch.testing.assert_close(default, torch.stack(expected), rtol=0, atol=0.02 * slack)


@pytest.mark.verdict("oneshot/relation_net", against="the formula, pair by pair", within=1e-12)
def test_relation_net_compares_concatenated_pairs(episodes, equal):
    torch.manual_seed(0)
    method = RelationNet(5, hidden=6).double()
    first = torch.cat([method.of_class.weight, method.of_query.weight], dim=1)
    expected = []
    for support, labels, query in each(episodes):
        centers = means(support, labels)
        rows = [
            torch.stack(
                [method.output(F.relu(first @ torch.cat([c, q]) + method.of_class.bias)).squeeze() for c in centers]
            )
            for q in query
        ]
        expected.append(torch.stack(rows))
    equal(method(*episodes, way=WAY), torch.stack(expected))


def test_relation_net_is_trained_by_squared_errors():
    logits, labels = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[1]])
    wanted = (0.5**2 + (1 - 1 / (1 + math.exp(-2.0))) ** 2) / 2
    assert RelationNet(2).loss(logits, labels).item() == pytest.approx(wanted)


@pytest.mark.verdict("oneshot/siamese", against="the formula, pair by pair", within=1e-12)
def test_siamese_weighs_absolute_differences(episodes, equal):
    method = Siamese(5).double()
    with torch.no_grad():
        method.weights.copy_(torch.tensor([-1.0, -0.5, 0.2, -2.0, 0.0]))
        method.offset.fill_(0.3)
    expected = []
    for support, labels, query in each(episodes):
        rows = []
        for q in query:
            inside = [0.3 + sum(method.weights.tolist() * (q - s).abs().numpy()) for s in support]
            rows.append([np.mean([v for v, y in zip(inside, labels, strict=True) if y == c]) for c in range(WAY)])
        expected.append(torch.tensor(np.array(rows)))
    equal(method(*episodes, way=WAY).detach(), torch.stack(expected))


def test_siamese_is_trained_on_pairs():
    logits, labels = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[1]])
    wanted = (math.log(2) + math.log(1 + math.exp(-2.0))) / 2
    assert Siamese(2).loss(logits, labels).item() == pytest.approx(wanted)


@pytest.mark.verdict("oneshot/feat", against="the formula, episode by episode", within=1e-12)
def test_feat_is_attention_among_class_means(episodes, equal):
    torch.manual_seed(0)
    method = FEAT(5, temperature=2.0).double()
    expected = []
    for support, labels, query in each(episodes):
        c = means(support, labels)
        attended = F.scaled_dot_product_attention(method.queries(c), method.keys(c), method.values(c))
        adapted = method.norm(c + method.output(attended))
        expected.append(-torch.cdist(query, adapted).square() / 2)
    equal(method(*episodes, way=WAY), torch.stack(expected))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MatchingNet(scale=0), "scale 0; expected a number > 0"),
        (lambda: R2D2(penalty=-1), "penalty -1; expected a number > 0"),
        (lambda: MetaOptNet(slack=0), "slack 0"),
        (lambda: Logistic(4, strength=0), "strength 0"),
        (lambda: FEAT(4, temperature=0), "temperature 0"),
        (lambda: BaselinePP(4, transform="l2n"), "unknown transform 'l2n'; expected UN, L2N or CL2N"),
    ],
)
def test_refusals(build, message):
    with pytest.raises(ValueError, match=message):
        build()
