"""Episode classifiers against double loops over queries and classes."""

import math

import pytest
import torch

from tlzoo.methods.oneshot import ProtoNet, SimpleShot


@pytest.fixture
def episodes():
    generator = torch.Generator().manual_seed(3)
    support = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    query = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 2, 1, 0, 0], [2, 2, 2, 0, 1, 1, 0]])  # unequal shots
    return support, labels, query


def naive_logits(support, labels, query, way, transform):
    """Return minus the squared distances to class means, as nested lists."""
    answers = []
    for episode in range(len(support)):
        means = []
        for c in range(way):
            members = [
                transform(f.tolist()) for f, label in zip(support[episode], labels[episode], strict=True) if label == c
            ]
            means.append([sum(column) / len(members) for column in zip(*members, strict=True)])
        rows = []
        for q in query[episode]:
            moved = transform(q.tolist())
            rows.append([-sum((a - b) ** 2 for a, b in zip(moved, mean, strict=True)) for mean in means])
        answers.append(rows)
    return torch.tensor(answers, dtype=torch.float64)


def unit(vector):
    norm = math.sqrt(sum(v * v for v in vector))
    return [v / norm for v in vector]


@pytest.mark.verdict("oneshot/protonet", against="the formula, item by item", within=1e-12)
def test_protonet(episodes, equal):
    expected = naive_logits(*episodes, 3, lambda f: f)
    equal(ProtoNet()(*episodes, way=3), expected)
    equal(ProtoNet(temperature=4.0)(*episodes, way=3), expected / 4)


@pytest.mark.verdict("oneshot/simpleshot", against="the formula, item by item", within=1e-12)
def test_simpleshot(episodes, equal):
    base = torch.randn(11, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 1
    mean = base.mean(dim=0).tolist()
    transforms = {
        "UN": lambda f: f,
        "L2N": unit,
        "CL2N": lambda f: unit([a - b for a, b in zip(f, mean, strict=True)]),
    }
    for name, transform in transforms.items():
        method = SimpleShot(5, transform=name).double()
        method.fit_base(base, None)
        expected = naive_logits(*episodes, 3, transform)
        equal(method(*episodes, way=3), expected)


def test_centring_before_the_base_set_is_known(episodes):
    with pytest.raises(RuntimeError, match=r"base_mean is not known yet; call fit_base.* first, give base_mean"):
        SimpleShot(5).double()(*episodes, way=3)


def test_protonet_keeps_digits_far_from_the_origin(episodes):
    support, labels, query = episodes
    exact = ProtoNet()(support, labels, query, way=3)
    shifted = ProtoNet()((support + 1000).float(), labels, (query + 1000).float(), way=3)
    torch.testing.assert_close(shifted.double(), exact, rtol=1e-3, atol=1e-2)


def test_refusals():
    with pytest.raises(ValueError, match="temperature 0"):
        ProtoNet(temperature=0)
    with pytest.raises(ValueError, match="unknown transform 'l2n'; expected UN, L2N or CL2N"):
        SimpleShot(5, transform="l2n")
