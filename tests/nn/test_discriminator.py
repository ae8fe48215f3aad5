import math

import pytest
import torch

from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss


def test_undecided_is_ln_2():
    loss, accuracy = domain_loss(torch.zeros(7, 1), 3)
    assert loss.item() == pytest.approx(math.log(2))
    assert accuracy.item() == 0.5  # all called target


def test_each_domain_counts_one_half():
    logits = torch.tensor([[3.0]] * 6 + [[2.0]])
    loss, accuracy = domain_loss(logits, 6)
    assert loss.item() == pytest.approx(0.5 * (math.log1p(math.exp(-3)) + math.log1p(math.exp(2))), rel=1e-6)
    assert accuracy.item() == 0.5


def test_weights():
    logits = torch.tensor([[1.0], [-1.0], [2.0]])
    losses = [math.log1p(math.exp(-1)), math.log1p(math.exp(1)), math.log1p(math.exp(2))]
    found, _ = domain_loss(logits, 2, (torch.tensor([1.0, 3.0]), torch.tensor([2.0])))
    assert found.item() == pytest.approx((losses[0] + 3 * losses[1] + 2 * losses[2]) / 6, rel=1e-6)


@pytest.mark.parametrize(("shape", "num_source"), [((4,), 2), ((4, 2), 2), ((4, 1), 0), ((4, 1), 4)])
def test_refusals(shape, num_source):
    with pytest.raises(ValueError, match="source rows; expected"):
        domain_loss(torch.zeros(shape), num_source)


def test_discriminator_learns_two_domains():
    torch.manual_seed(0)
    network = DomainDiscriminator(2, hidden=8)
    x = torch.cat([torch.randn(20, 2) + 3, torch.randn(20, 2) - 3])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        loss, accuracy = domain_loss(network(x), 20)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert accuracy.item() == 1.0
