"""Minimax entropy: head and features pull the entropy of the target apart."""

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.confusion import MME
from tlzoo.types import Prediction

D, C = 4, 3


def built(**settings):
    torch.manual_seed(0)
    return MME(D, C, **settings).double()


def target():
    features = torch.randn(5, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    return Prediction(features=features, logits=features.detach() @ torch.zeros(D, C, dtype=torch.float64))


def entropy(features, weight, temperature):
    p = (F.normalize(features, dim=1) @ weight.T / temperature).softmax(dim=1)
    return -(p * p.log()).sum(dim=1).mean()


def test_the_head_is_a_cosine_with_temperature():
    method, said = built(), target()
    f = said.features.detach()
    expected = f / f.norm(dim=1, keepdim=True) @ method.head.linear.weight.T / 0.05
    torch.testing.assert_close(method.make_head()(f), expected)
    torch.testing.assert_close(method.head(3 * f), expected)  # the norm of features does not matter


@pytest.mark.verdict("confusion/mme", against="the formula, and gradients of each side", within=1e-12)
def test_features_lower_what_the_head_raises(equal):
    method, said = built(temperature=0.5, weight=0.1), target()
    method(said, said)["loss"].backward()
    features, weight = (x.detach().clone().requires_grad_() for x in (said.features, method.head.linear.weight))
    uncertainty = entropy(features, weight, 0.5)
    by_features, by_weight = torch.autograd.grad(uncertainty, [features, weight])
    assert by_features.abs().sum() > 0
    equal(said.features.grad, 0.1 * by_features)  # a step down the loss lowers the entropy
    equal(method.head.linear.weight.grad, -0.1 * by_weight)  # and this one raises it


def test_the_loss_is_the_negative_entropy():
    method, said = built(temperature=0.5), target()
    terms = method(said, said)
    expected = entropy(said.features, method.head.linear.weight, 0.5).item()
    assert terms["loss"].item() == pytest.approx(-0.1 * expected)
    assert terms["entropy"].item() == pytest.approx(expected)


def test_a_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature 0"):
        built(temperature=0.0)
