import pytest
import torch

from tlzoo.functional.ranking import harmonic_number, margin_violations


def test_violations_against_a_loop():
    scores = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    found = margin_violations(scores, labels, margin=0.7)
    for b in range(6):
        for c in range(5):
            y = int(labels[b])
            expected = 0.0 if c == y else max(0.0, 0.7 + float(scores[b, c]) - float(scores[b, y]))
            assert found[b, c].item() == pytest.approx(expected, abs=1e-12)


def test_harmonic_numbers():
    counts = torch.tensor([0, 1, 2, 10, 3])
    expected = [sum(1 / i for i in range(1, n + 1)) for n in counts.tolist()]
    assert harmonic_number(counts).tolist() == pytest.approx(expected, abs=1e-12)
    assert harmonic_number(torch.tensor([], dtype=torch.long)).shape == (0,)
