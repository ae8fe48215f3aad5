"""Measures of a shift and of the accuracy after it, on distributions where the truth is known."""

import pytest
import torch

from tlzoo.selection.shift import average_threshold, domain_probe, label_shift, nuclear_norm, temperature

GENERATOR = torch.Generator().manual_seed(0)


def drawn(count, shares, noise=0.7):
    labels = torch.multinomial(torch.tensor(shares), count, replacement=True, generator=GENERATOR)
    return 2 * torch.eye(len(shares))[labels] + noise * torch.randn(count, len(shares), generator=GENERATOR), labels


def test_the_probe_tells_what_is_apart_and_nothing_else():
    one, other = (torch.randn(200, 5, generator=GENERATOR) for _ in range(2))
    assert domain_probe(one, other) < 0.6
    assert domain_probe(one, other + 5) == 1.0
    assert 0.6 < domain_probe(one, other + torch.tensor([1.0, 0, 0, 0, 0])) < 0.8
    with pytest.raises(ValueError, match="expected"):
        domain_probe(one[:3], other)


def test_class_shares_of_the_target_are_found():
    held_out, labels = drawn(3000, [1 / 3, 1 / 3, 1 / 3])
    target, _ = drawn(3000, [0.6, 0.3, 0.1])
    found = label_shift(held_out, labels, target)
    assert found.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    assert (
        target.argmax(dim=1).bincount() / 3000 - torch.tensor([0.6, 0.3, 0.1])
    ).abs().max() > 0.02  # answers are off


def test_accuracy_without_labels():
    held_out, labels = drawn(3000, [0.25] * 4)
    factor = temperature(held_out, labels)
    assert 1 < factor < 8
    for noise in (0.7, 1.0, 1.4):
        target, truth = drawn(3000, [0.25] * 4, noise)
        accuracy = float((target.argmax(dim=1) == truth).float().mean())
        if noise == 0.7:
            assert average_threshold(factor * held_out, labels, factor * target) == pytest.approx(accuracy, abs=0.03)
    sharp, vague = torch.eye(4).repeat(25, 1) * 20, torch.randn(100, 4, generator=GENERATOR) / 10
    collapsed = torch.eye(4)[torch.zeros(100).long()] * 20
    assert nuclear_norm(sharp) == pytest.approx(1.0, abs=1e-3)
    assert nuclear_norm(sharp) > nuclear_norm(collapsed) > nuclear_norm(vague) - 0.05
