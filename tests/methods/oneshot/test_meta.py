"""Meta-learners against learn2learn, and what each is known for."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.interop import learn2learn
from tlzoo.methods.oneshot import ANIL, FOMAML, MAML, MetaSGD, Reptile

WAY, EPISODES = 3, 2
SUPPORT, QUERY = torch.arange(WAY).repeat(EPISODES, 2), torch.arange(WAY).repeat(EPISODES, 1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perceptron():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
    return nn.Sequential(OrderedDict(backbone=body, head=nn.Linear(6, WAY))).double()


def convolutional():
    torch.manual_seed(0)
    backbone = create_backbone("conv4", image_size=16, width=4)
    return nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(4, WAY))).double()


def normalized():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Tanh())
    return nn.Sequential(OrderedDict(backbone=body, head=nn.Linear(6, WAY))).double()


NETWORKS = {"perceptron": (perceptron, (4,)), "normalized": (normalized, (4,)), "conv4": (convolutional, (1, 16, 16))}


@pytest.fixture(params=NETWORKS)
def case(request):
    build, shape = NETWORKS[request.param]
    return build(), normal(EPISODES, 2 * WAY, *shape), normal(EPISODES, WAY, *shape, seed=1)


@pytest.fixture
def library():
    try:
        return learn2learn.load()
    except ImportError as error:
        pytest.skip(str(error))


def peers(library, name, model, support, query, *, steps, first_order=False):
    """Return learn2learn's answers, and the meta-gradients of its network and of its rates."""
    model = copy.deepcopy(model)
    learner = getattr(library.algorithms, name)(model, lr=0.1, first_order=first_order)
    answers = []
    for items, labels, queries in zip(support, SUPPORT, query, strict=True):
        clone = learner.clone()
        for _ in range(steps):
            clone.adapt(F.cross_entropy(clone(items), labels))
        answers.append(clone(queries))
    F.cross_entropy(torch.cat(answers), QUERY.flatten()).backward()
    rates = [rate.grad for rate in learner.lrs] if name == "MetaSGD" else []
    return torch.stack(answers).detach(), [p.grad for p in model.parameters()], rates


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "name", "first_order"),
    [
        pytest.param(
            MAML(rate=0.1, steps=3, statistics="batch"),
            "MAML",
            False,
            marks=pytest.mark.verdict("oneshot/maml", against="learn2learn, and its meta-gradients", within=1e-12),
        ),
        pytest.param(
            FOMAML(rate=0.1, steps=3, statistics="batch"),
            "MAML",
            True,
            marks=pytest.mark.verdict("oneshot/fomaml", against="learn2learn, and its meta-gradients", within=1e-12),
        ),
        pytest.param(
            MetaSGD(rate=0.1, steps=3, statistics="batch").double(),
            "MetaSGD",
            False,
            marks=pytest.mark.verdict("oneshot/meta_sgd", against="learn2learn, and its meta-gradients", within=1e-12),
        ),
    ],
)
def test_answers_and_meta_gradients_are_learn2learns(library, case, method, name, first_order, equal):
    model, support, query = case
    answers, gradients, rates = peers(library, name, model, support, query, steps=3, first_order=first_order)
    method.prepare(model)
    found = method(model, support, SUPPORT, query, way=WAY)
    equal(found, answers)
    method.loss(found, QUERY).backward()
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        equal(parameter.grad, gradient)
    if rates:
        for (key, _), rate in zip(model.named_parameters(), rates, strict=True):
            equal(method.rates[key.replace(".", "/")].grad, rate)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.verdict("oneshot/anil", against="learn2learn, and its meta-gradients", within=1e-12)
def test_anil_is_learn2learns_maml_of_the_head(library, case, steps, equal):
    """Its ANIL: the features are computed outside, by a network that takes no step, and MAML wraps the head alone."""
    model, support, query = case
    theirs = copy.deepcopy(model)
    learner = library.algorithms.MAML(theirs.head, lr=0.1)
    answers = []
    for items, labels, queries in zip(support, SUPPORT, query, strict=True):
        clone, features = learner.clone(), theirs.backbone(items)
        for _ in range(steps):
            clone.adapt(F.cross_entropy(clone(features), labels))
        answers.append(clone(theirs.backbone(queries)))
    F.cross_entropy(torch.cat(answers), QUERY.flatten()).backward()
    method = ANIL(rate=0.1, steps=steps, statistics="batch")
    found = method(model, support, SUPPORT, query, way=WAY)
    equal(found, torch.stack(answers).detach())
    method.loss(found, QUERY).backward()
    for parameter, other in zip(model.parameters(), theirs.parameters(), strict=True):
        equal(parameter.grad, other.grad)


def test_without_gradient_the_answers_are_the_same(case):
    model, support, query = case
    for method in (MAML(rate=0.1, steps=3), FOMAML(rate=0.1, steps=3), ANIL(rate=0.1, steps=3)):
        expected = method(model, support, SUPPORT, query, way=WAY).detach()
        with torch.no_grad():
            close(method(model, support, SUPPORT, query, way=WAY), expected)


def test_anil_moves_the_head_alone():
    model, support = perceptron(), normal(EPISODES, 2 * WAY, 4)
    adapted = ANIL(rate=0.1).adapted(model, support, SUPPORT, way=WAY)
    start = dict(model.named_parameters())
    assert {name for name, p in adapted.items() if not torch.equal(p[0], start[name])} == {"head.weight", "head.bias"}
    logits = ANIL(rate=0.1)(model, support, SUPPORT, normal(EPISODES, WAY, 4, seed=1), way=WAY)
    logits.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.verdict("oneshot/reptile", against="the mean of the adapted weights, at rate 1", within=1e-12)
def test_reptile_goes_all_the_way_at_rate_one(equal):
    model, support, query = perceptron(), normal(EPISODES, 2 * WAY, 4), normal(EPISODES, WAY, 4, seed=1)
    method = Reptile(rate=0.1, steps=2)
    both = torch.cat([support, query], dim=1), torch.cat([SUPPORT, QUERY], dim=1)
    wanted = {name: p.detach().mean(dim=0) for name, p in method.adapted(model, *both, way=WAY).items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    method.objective(model, support, SUPPORT, query, QUERY, way=WAY).backward()
    optimizer.step()
    for name, p in model.named_parameters():
        equal(p.detach(), wanted[name])


def test_support_statistics_answer_each_query_on_its_own():
    model, support, query = normalized(), normal(EPISODES, 2 * WAY, 4), normal(EPISODES, WAY, 4, seed=1)
    for statistics, alone in (("support", True), ("batch", False)):
        method = MAML(rate=0.1, steps=2, statistics=statistics)
        whole = method(model, support, SUPPORT, query, way=WAY)
        parts = method(model, support, SUPPORT, query[:, :2], way=WAY)
        assert torch.allclose(parts, whole[:, :2], rtol=0, atol=1e-12) == alone


def test_the_network_stays_as_it_is():
    model = perceptron()
    before = copy.deepcopy(model.state_dict())
    MAML(rate=0.1)(model, normal(EPISODES, 2 * WAY, 4), SUPPORT, normal(EPISODES, WAY, 4, seed=1), way=WAY)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_refusals():
    support, query = normal(EPISODES, 2 * WAY, 4), normal(EPISODES, WAY, 4, seed=1)
    running = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, WAY)).double()
    with pytest.raises(ValueError, match="0 updates running statistics, which episodes that adapt at once"):
        MAML()(running, support, SUPPORT, query, way=WAY)
    assert MAML()(running.eval(), support, SUPPORT, query, way=WAY).shape == (EPISODES, WAY, WAY)
    with pytest.raises(ValueError, match=r"ANIL has nothing to adapt among 0.weight, 0.bias"):
        ANIL()(nn.Sequential(nn.Linear(4, WAY)).double(), support, SUPPORT, query, way=WAY)
    with pytest.raises(ValueError, match="the network has 3 outputs for 4-way episodes; build it for 4"):
        MAML()(perceptron(), normal(EPISODES, 8, 4), torch.arange(4).repeat(EPISODES, 2), query, way=4)
    with pytest.raises(RuntimeError, match=r"MetaSGD has no rates for backbone.0.weight; call prepare\(model\)"):
        MetaSGD()(perceptron(), support, SUPPORT, query, way=WAY)
    with pytest.raises(ValueError, match="rate 0, steps 5"):
        MAML(rate=0)
