"""FixMatch and self-ensembling against their formulas, written out."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.methods.adaptation import FixMatch, SelfEnsembling
from tlzoo.nn.network import Network
from tlzoo.types import Prediction

D, C = 4, 3


def side(rows, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return Prediction(
        features=torch.randn(rows, D, generator=generator, dtype=torch.float64),
        logits=scale * torch.randn(rows, C, generator=generator, dtype=torch.float64),
        inputs=torch.randn(rows, D, generator=generator, dtype=torch.float64),
        labels=torch.arange(rows) % C,
    )


SOURCE = side(6, 0)
WEAK, STRONG = side(5, 1, scale=4.0), side(5, 2)
TARGET = Prediction(**{**vars(side(5, 3)), "labels": None, "views": {"weak": WEAK, "strong": STRONG}})


@pytest.mark.verdict("adaptation/fixmatch", against="the formula, written out", within=1e-12)
def test_fixmatch_learns_confident_answers_for_the_strong_view(equal):
    p = WEAK.logits.softmax(dim=1)
    total = 0.0
    confident = [row for row in range(5) if p[row].max() >= 0.9]
    for row in confident:
        total += F.cross_entropy(STRONG.logits[row : row + 1], p[row].argmax()[None]).item()
    assert 0 < len(confident) < 5
    terms = FixMatch(D, C, threshold=0.9, weight=2.0)(SOURCE, TARGET)
    equal(terms["loss"].item(), 2.0 * total / 5)  # the others count 0, and stay in the mean
    equal(terms["confident"].item(), len(confident) / 5)


def test_fixmatch_takes_no_gradient_through_its_answers():
    weak, strong = (view.logits.clone().requires_grad_() for view in (WEAK, STRONG))
    views = {name: Prediction(features=WEAK.features, logits=x) for name, x in (("weak", weak), ("strong", strong))}
    target = Prediction(features=TARGET.features, logits=TARGET.logits, views=views)
    FixMatch(D, C, threshold=0.5)(SOURCE, target)["loss"].backward()
    assert weak.grad is None
    assert strong.grad.abs().sum() > 0


class Linear(nn.Module):
    num_features = D

    def __init__(self, scale):
        super().__init__()
        self.map = nn.Linear(D, C, bias=False).double()
        self.scale = scale

    def forward(self, inputs):
        return Prediction(features=inputs, logits=self.scale * self.map(inputs))


@pytest.mark.verdict("adaptation/self_ensembling", against="the formula, written out", within=1e-12)
def test_self_ensembling_compares_with_what_the_teacher_says(equal):
    torch.manual_seed(0)
    network = Linear(scale=6.0)
    method = SelfEnsembling(D, C, threshold=0.8, balance=0.1, weight=2.0)
    method.prepare(network)
    terms = method(SOURCE, TARGET)
    q, p = network(WEAK.inputs).logits.detach().softmax(dim=1), STRONG.logits.softmax(dim=1)
    confident = [row for row in range(5) if q[row].max() > 0.8]
    assert 0 < len(confident) < 5
    distance = sum(float(((p[row] - q[row]) ** 2).sum()) / C for row in confident) / 5
    mean = p.mean(dim=0)
    balance = -sum(math.log(m) / C + (1 - 1 / C) * math.log(1 - m) for m in mean.tolist())
    expected = distance + 0.1 * len(confident) / 5 * balance
    equal(terms["loss"].item(), 2.0 * expected)


def test_the_teacher_is_a_moving_average():
    torch.manual_seed(0)
    network = Linear(scale=1.0)
    method = SelfEnsembling(D, C, smoothing=0.75)
    method.prepare(network)
    start = network.map.weight.detach().clone()
    with torch.no_grad():
        network.map.weight.add_(1.0)
    method.after_step(network)
    torch.testing.assert_close(method.teacher.map.weight, start + 0.25)
    method.after_step(network)
    torch.testing.assert_close(method.teacher.map.weight, start + 0.25 + 0.75 * 0.25)


def test_the_teacher_is_in_the_state_and_the_network_is_left_alone():
    network = Network(create_backbone("mlp", num_inputs=D, hidden=[5]), C)
    method = SelfEnsembling(5, C)
    method.prepare(network)
    assert {f"teacher.{name}" for name in network.state_dict()} == set(method.state_dict())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("make", [lambda: FixMatch(D, C, threshold=1.5), lambda: SelfEnsembling(D, C, smoothing=1.0)])
def test_settings_that_make_no_sense(make):
    with pytest.raises(ValueError, match="expected a"):
        make()
