"""Moment matching of several sources, pair by pair."""

import itertools

import pytest
import torch

from tlzoo.functional import moment_distance
from tlzoo.methods.adaptation import M3SDA
from tlzoo.types import Prediction

D = 4


def features(rows, seed):
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def written_out(sources, target, moments):
    total = 0.0
    for k in range(1, moments + 1):

        def moment(x, k=k):
            return [sum(float(row[d]) ** k for row in x) / len(x) for d in range(D)]

        def apart(x, y):
            return sum((a - b) ** 2 for a, b in zip(moment(x), moment(y), strict=True)) ** 0.5

        total += sum(apart(source, target) for source in sources) / len(sources)
        pairs = list(itertools.combinations(sources, 2))
        total += sum(apart(one, other) for one, other in pairs) / len(pairs) if pairs else 0.0
    return total


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("moments", [1, 2, 4])
def test_the_distance_pair_by_pair(count, moments):
    sources, target = [features(3 + seed, seed) for seed in range(count)], features(7, 9)
    found = moment_distance(sources, target, moments=moments).item()
    assert found == pytest.approx(written_out(sources, target, moments))


def test_equal_samples_are_at_no_distance():
    x = features(5, 0).requires_grad_()
    distance = moment_distance([x, x], x)
    distance.backward()
    assert distance.item() == 0.0
    assert x.grad.isfinite().all()


@pytest.mark.verdict("adaptation/m3sda", against="the moments, source by source", within=1e-12)
def test_sources_are_told_apart_by_their_domains(equal):
    rows, target = features(8, 0), features(6, 1)
    domains = torch.tensor([2, 0, 0, 2, 5, 2, 5, 0])
    source = Prediction(features=rows, logits=rows, domains=domains)
    said = Prediction(features=target, logits=target)
    found = M3SDA(D, D, weight=0.5)(source, said)["loss"].item()
    apart = [rows[domains == domain] for domain in (0, 2, 5)]
    equal(found, 0.5 * written_out(apart, target, 2))
    alone = M3SDA(D, D, weight=1.0)(Prediction(features=rows, logits=rows), said)["loss"].item()
    equal(alone, written_out([rows], target, 2))


@pytest.mark.parametrize(
    ("sources", "moments"), [([], 2), ([features(2, 0)], 0), ([features(0, 0)], 2), ([features(2, 0)[:, :2]], 2)]
)
def test_what_has_no_distance(sources, moments):
    with pytest.raises(ValueError, match=r"expected|differ"):
        moment_distance(sources, features(3, 1), moments=moments)
