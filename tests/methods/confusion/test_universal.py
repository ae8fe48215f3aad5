"""Universal adaptation against what the authors' code computes, restated; and what counts as unknown."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.adaptation import SourceOnly
from tlzoo.methods.confusion import DANCE, OVANet
from tlzoo.types import Prediction

D, C = 5, 4
K = C - 1


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def side(method, count, seed, **parts):
    features = normal(count, D, seed=seed).requires_grad_()
    return Prediction(features=features, logits=method.head(features), **parts)


def thresholded(num_features, num_classes):
    method = SourceOnly(num_features, num_classes, unknown=0.5)
    method.head = method.make_head()  # a network has it, as it has the heads that the others own
    return method


@pytest.fixture(params=[DANCE, OVANet, thresholded])
def method(request):
    torch.manual_seed(0)
    return request.param(D, C).double()


def test_source_only_is_in_doubt_above_its_share_of_the_highest_entropy():
    head = SourceOnly(2, 3, unknown=0.25).make_head().eval()
    head.linear.weight.data, head.linear.bias.data = torch.eye(2), torch.zeros(2)
    p = torch.tensor([0.94, 0.96])  # of two classes, .25 ln 2 nats at .9583
    features = torch.stack([p.log(), (1 - p).log()], dim=1)
    assert head(features).argmax(1).tolist() == [2, 0]


def test_source_only_says_unknown_of_known_classes_alone():
    assert SourceOnly(D, C).make_head() is None
    for wrong in ({"unknown": 0.0}, {"unknown": 1.5}, {"unknown": 0.5, "num_classes": 2}):
        with pytest.raises(ValueError, match=r"unknown|num_classes"):
            SourceOnly(**{"num_features": D, "num_classes": C, **wrong})


def test_unknown_takes_no_part_in_the_supervised_loss(method):
    features, labels = normal(6, D, seed=1), torch.arange(6) % K
    known = method.head.known(features)
    torch.testing.assert_close(F.cross_entropy(method.head(features), labels), F.cross_entropy(known, labels))


def test_unknown_is_said_in_evaluation_alone(method):
    features = 3 * normal(300, D, seed=2)
    with torch.no_grad():
        assert (method.head(features).argmax(1) < K).all()
        answers = method.eval().head(features).argmax(1)
        known = method.head.known(features)
        doubt = method.head.doubt(features, known)
    assert torch.equal(answers == K, doubt > 0)
    assert torch.equal(answers[doubt < 0], known.argmax(1)[doubt < 0])


@pytest.mark.verdict("confusion/ovanet", against="the authors' losses, restated, value and gradient", within=1e-6)
def test_ovanet(equal):
    torch.manual_seed(0)
    method, labels = OVANet(D, C, weight=0.3).double(), torch.tensor([0, 2, 1, 1, 0, 2, 2])
    source, target = side(method, 7, 1, labels=labels), side(method, 5, 2)
    found = method(source, target, progress=0.5)["loss"]

    def opened(features):
        weight = F.normalize(method.head.open.weight, dim=1)
        return (features @ weight.T).view(len(features), K, 2).transpose(1, 2).flip(1)  # "another" first, as theirs

    p = opened(source.features).softmax(1)
    label_p = torch.zeros(7, K).double()
    label_p[range(7), labels] = 1
    positive = (-torch.log(p[:, 1] + 1e-8) * label_p).sum(1).mean()
    negative = (-torch.log(p[:, 0] + 1e-8) * (1 - label_p)).max(1).values.mean()
    q = opened(target.features).softmax(1)
    entropy = (-q * torch.log(q + 1e-8)).sum(1).mean(1).mean()
    expected = 0.5 * (positive + negative) + 0.3 * entropy
    equal(found, expected)
    leaves = [source.features, target.features, method.head.open.weight]
    both = (torch.autograd.grad(loss, leaves, retain_graph=True) for loss in (found, expected))
    for ours, theirs in zip(*both, strict=True):
        equal(ours, theirs)


@pytest.mark.verdict("confusion/dance", against="the authors' losses, restated, value and gradient", within=1e-9)
def test_dance(equal):
    torch.manual_seed(0)
    method = DANCE(D, C, weight=0.2, temperature=0.5, margin=0.1).double()
    whole = side(method, 20, 5, indices=torch.arange(20))
    method.on_epoch(whole)
    chosen = torch.tensor([3, 11, 0, 19])
    source, target = side(method, 6, 1, labels=torch.arange(6) % K), side(method, 4, 2, indices=chosen)
    memory = F.normalize(whole.features.detach())
    found = method(source, target, progress=0.5)["loss"]

    def entropy(p):
        p = p.softmax(1)
        return -(p * torch.log(p + 1e-5)).sum(1)

    feat = F.normalize(target.features)
    out = feat @ F.normalize(method.head.weight, dim=1).T / 0.5
    first = feat @ memory.T / 0.5
    first[:, chosen] = -1 / 0.5
    second = (feat @ feat.T / 0.5).masked_fill(torch.eye(4).bool(), -1 / 0.5)
    clustering = entropy(torch.cat([out, first, second], 1)).mean()
    separation = -torch.clamp((entropy(out) - math.log(K) / 2).abs(), min=0.1).mean()
    expected = 0.2 * (clustering + separation)
    equal(found, expected)
    leaves = [target.features, method.head.weight]
    both = (torch.autograd.grad(loss, leaves, retain_graph=True) for loss in (found, expected))
    for ours, theirs in zip(*both, strict=True):
        equal(ours, theirs)
    equal(method.memory.features[chosen], feat.detach())
