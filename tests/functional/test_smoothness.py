"""Virtual adversarial perturbations against a naive loop and a closed form."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.functional import adversarial_direction, divergence, virtual_adversarial_divergence
from tlzoo.functional.smoothness import unit_items

B, D, C = 5, 4, 3


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, START, FIRST, SECOND = drawn(B, D, seed=1), drawn(B, D, seed=2), drawn(D, 6, seed=3), drawn(6, C, seed=4)


def network(x, first=FIRST):
    return torch.tanh(x @ first) @ SECOND


def kl(p_logits, q_logits):
    """Written out, one example."""
    p, q = ([math.exp(v) for v in logits.tolist()] for logits in (p_logits, q_logits))
    p, q = ([v / sum(values) for v in values] for values in (p, q))
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


def test_divergence():
    ours, theirs = drawn(B, C, seed=5), drawn(B, C, seed=6)
    expected = [kl(a, b) for a, b in zip(ours, theirs, strict=True)]
    torch.testing.assert_close(divergence(ours, theirs), torch.tensor(expected).double())
    torch_says = F.kl_div(theirs.log_softmax(1), ours.log_softmax(1), log_target=True, reduction="none").sum(1)
    torch.testing.assert_close(divergence(ours, theirs), torch_says)
    assert divergence(torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]])).isfinite().all()
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(5, 2\)"):
        divergence(ours, theirs[:, :2])


@pytest.mark.parametrize("shape", [(3, 7), (3, 2, 4, 4)])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_directions_have_length_one(shape, scale):
    directions = unit_items(scale * drawn(*shape).float())
    torch.testing.assert_close(directions.flatten(1).norm(dim=1), torch.ones(3))


def test_the_naive_loop():
    """Item by item: a step of the gradient at the probe, by finite differences, then the divergence at the radius."""
    radius, probe, expected = 0.7, 0.01, []
    for x, start in zip(X, START, strict=True):
        d = probe * start / start.norm()
        slope = torch.zeros(D).double()
        for i in range(D):
            step = torch.zeros(D).double()
            step[i] = 1e-5
            up, down = (kl(network(x[None])[0], network((x + d + s)[None])[0]) for s in (step, -step))
            slope[i] = (up - down) / 2e-5
        r = radius * slope / slope.norm()
        expected.append(kl(network(x[None])[0], network((x + r)[None])[0]))
    found = virtual_adversarial_divergence(network, X, START, radius=radius, probe=probe)
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-5, atol=1e-8)


def test_the_direction_is_the_first_eigenvector_of_the_curvature():
    """Of softmax regression the divergence at x + d is d^T W (diag p - p p^T) W^T d / 2 near x."""
    W = drawn(D, C, seed=7)
    found = adversarial_direction(lambda x: x @ W, X, X @ W, START, probe=1e-3, rounds=60)
    for x, direction in zip(X, found, strict=True):
        p = (x @ W).softmax(0)
        curvature = W @ (torch.diag(p) - torch.outer(p, p)) @ W.T
        first = torch.linalg.eigh(curvature)[1][:, -1]
        assert abs(float(first @ direction)) == pytest.approx(1, abs=1e-3)


def test_no_direction_of_the_same_length_changes_much_more():
    found = virtual_adversarial_divergence(network, X, START, radius=0.05, rounds=20)
    for seed in range(20):
        other = X + 0.05 * unit_items(drawn(B, D, seed=100 + seed))
        assert (divergence(network(X), network(other)) <= 1.2 * found + 1e-12).all()


def test_the_gradient_is_that_of_the_perturbed_answer_alone():
    first = FIRST.clone().requires_grad_()
    loss = virtual_adversarial_divergence(lambda x: network(x, first), X, START, radius=0.5).sum()
    (found,) = torch.autograd.grad(loss, first)
    clean = network(X)
    shifted = X + 0.5 * adversarial_direction(network, X, clean, START)

    def held(parameter):
        return divergence(clean, network(shifted, parameter)).sum()

    assert torch.autograd.gradcheck(held, (first,))
    torch.testing.assert_close(found, torch.autograd.grad(held(first), first)[0])


def test_an_answer_that_never_changes():
    flat = virtual_adversarial_divergence(lambda x: 0 * x[:, :2], X, START, radius=1.0)
    assert torch.equal(flat, torch.zeros(B).double())


def test_what_makes_no_sense():
    with pytest.raises(ValueError, match="radius 0"):
        virtual_adversarial_divergence(network, X, START, radius=0)
    with pytest.raises(ValueError, match=r"start of shape \(4, 4\), inputs of \(5, 4\), 1 rounds"):
        virtual_adversarial_divergence(network, X, START[:4], radius=1.0)
    with pytest.raises(ValueError, match="0 rounds"):
        adversarial_direction(network, X, network(X), START, rounds=0)
