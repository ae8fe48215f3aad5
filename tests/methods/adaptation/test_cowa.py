"""CoWA against what its authors' code computes, restated."""

import math

import pytest
import torch
from torch import nn

from tlzoo.methods.adaptation import CoWA
from tlzoo.methods.adaptation.cowa import joint_scores, mixture_posteriors
from tlzoo.types import Prediction

D, C, N = 4, 3, 20


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(5, D), nn.Linear(D, C)

    def forward(self, inputs):
        features = torch.tanh(self.first(inputs))
        return Prediction(
            features=features, logits=self.head(features), inputs=inputs, indices=torch.arange(len(inputs))
        )


@pytest.fixture
def model():
    torch.manual_seed(1)
    return Model().double()


def their_mixture(points, weights, spreads):
    sizes, logs = weights.sum(0), []
    for label in range(C):
        mean = (weights[:, label, None] * points).sum(0) / sizes[label]
        spread = sum(w * torch.outer(x - mean, x - mean) for w, x in zip(spreads[:, label], points, strict=True))
        covariance = spread / spreads[:, label].sum() + 1e-6 * torch.eye(D).double()
        normal = torch.distributions.MultivariateNormal(mean, covariance)
        logs.append(normal.log_prob(points) + sizes[label].log())
    logs = torch.stack(logs, 1)
    return logs - logs.logsumexp(1, keepdim=True)


def their_labels(said):
    points, chances = said.features / said.features.norm(dim=1, keepdim=True), said.logits.softmax(1)
    first = their_mixture(points, chances, torch.full_like(chances, 1 / C)).exp()
    logs = their_mixture(points, first, first)
    ordered = logs.sort(dim=1, descending=True).values
    gaps, labels = ordered[:, 0] - ordered[:, 1], logs.argmax(1)
    return labels, gaps / gaps.max() * chances[torch.arange(N), labels]


@pytest.mark.verdict("adaptation/cowa", against="the authors' mixture, scores and mixup, restated", within=1e-9)
def test_cowa(equal, model):
    inputs = torch.randn(N, 5).double()
    said = model(inputs)
    labels, weights = (each.detach() for each in their_labels(said))
    method = CoWA(D, C, alpha=0.7)
    method.on_epoch(said)
    assert torch.equal(method.memory.labels, labels)
    equal(method.memory.weights, weights)

    rows = torch.tensor([7, 3, 12, 0])
    part = Prediction(features=said.features[rows], logits=said.logits[rows], inputs=inputs[rows], indices=rows)
    found = method.loss(part, model=model)["loss"]
    method.random.restart()
    shares, partners = method._pairs(inputs[rows])
    expected = []
    for own, (share, partner) in enumerate(zip(shares, partners, strict=True)):
        pair, mix = rows[[own, int(partner)]], torch.stack([share, 1 - share])
        chances = model((mix[:, None] * inputs[pair]).sum(0, keepdim=True)).logits.softmax(1)[0]
        loss = -sum(part * (chances[labels[each]] + 1e-6).log() for part, each in zip(mix, pair, strict=True))
        expected.append((mix * weights[pair]).sum() * loss)
    equal(found, torch.stack(expected).mean())


def test_shares_follow_the_beta_distribution():
    method = CoWA(D, C, alpha=2.0)
    shares, partners = method._pairs(torch.zeros(4000, 1))
    assert sorted(partners.tolist()) == list(range(4000))
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(shares.var()) == pytest.approx(1 / 20, abs=0.005)
    tiny, _ = CoWA(D, C, alpha=1e-4)._pairs(torch.zeros(100, 1))
    assert bool(((tiny >= 0) & (tiny <= 1)).all())


def test_degenerate_targets_stay_finite():
    chances = torch.tensor([[1.0, 0.0]] * 3).double()
    for points in (torch.ones(3, 2).double(), torch.zeros(3, 2).double()):
        found = mixture_posteriors(points, chances)
        assert found.isfinite().all() or math.isinf(float(found.min()))
        assert joint_scores(found, chances).isfinite().all()


def test_cowa_asks_for_the_whole_target_first(model):
    with pytest.raises(ValueError, match="call on_epoch"):
        CoWA(D, C).loss(model(torch.zeros(2, 5).double()), model=model)
