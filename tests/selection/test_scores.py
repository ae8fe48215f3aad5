import importlib
import math

import pytest
import torch
from sklearn.metrics import silhouette_score

from tlzoo.functional import entropy, mmd
from tlzoo.selection import SCORES, SOURCE_SCORES, average_ranks, scores
from tlzoo.selection.source_validators import negative_discrepancy
from tlzoo.selection.validators import (
    PAIRWISE,
    class_cluster,
    negative_entropy,
    negative_information,
    neighborhood_density,
    soft_neighborhood_density,
)
from tlzoo.types import Prediction


def naive_density(points, temperature):
    """Return the mean entropy of soft neighborhoods by loops."""
    unit = [[v / math.sqrt(sum(w * w for w in p)) for v in p] for p in points.tolist()]
    total = 0.0
    for i, p in enumerate(unit):
        raw = [
            math.exp(sum(a * b for a, b in zip(p, q, strict=True)) / temperature) for j, q in enumerate(unit) if j != i
        ]
        shares = [r / sum(raw) for r in raw]
        total -= sum(s * math.log(s) for s in shares)
    return total / len(unit)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_density_against_loops(temperature):
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert neighborhood_density(points, temperature=temperature).item() == pytest.approx(
        naive_density(points, temperature)
    )
    softmax = points.softmax(dim=1)
    found = soft_neighborhood_density(points, temperature=temperature).item()
    assert found == pytest.approx(naive_density(softmax, temperature))


def test_all_scores_prefer_certain_and_diverse_predictions():
    certain = 8 * torch.eye(4).repeat(5, 1)
    vague = 0.1 * torch.eye(4).repeat(5, 1)
    ours, theirs = scores(certain, certain), scores(vague, vague)
    assert set(ours) == set(SCORES)
    assert ours["entropy"] > theirs["entropy"]
    assert ours["information"] > theirs["information"]
    collapsed = 8 * torch.eye(4)[:1].repeat(20, 1)
    assert negative_information(certain) > negative_information(collapsed)
    assert negative_entropy(certain) == pytest.approx(float(negative_entropy(collapsed)))


def test_values():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert negative_entropy(logits).item() == pytest.approx(-entropy(logits).mean().item())


def test_order_of_the_predictions_is_free():
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours, theirs = scores(logits, logits), scores(logits.flip(0), logits.flip(0))
    for name in SCORES:
        assert ours[name].item() == pytest.approx(theirs[name].item(), abs=1e-12)


def test_scores_by_blocks_equal_scores_at_once(monkeypatch):
    features = torch.randn(23, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other = torch.randn(11, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.3
    logits, target = features[:, :3], Prediction(features=features, logits=features[:, :3])
    source = Prediction(features=other, logits=other[:, :3])
    monkeypatch.setattr("tlzoo.selection.source_validators._BLOCK", 5)
    assert neighborhood_density(features).item() == pytest.approx(naive_density(features, 0.05), rel=1e-12)
    expected = silhouette_score(features.numpy(), logits.argmax(dim=1).numpy())
    assert class_cluster(features, logits).item() == pytest.approx(expected, rel=1e-12)
    assert negative_discrepancy(source, target).item() == pytest.approx(-mmd(other, features).item(), abs=1e-14)


def test_many_points_are_compared_among_a_fixed_part(monkeypatch):
    features = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits = features[:, :3]
    source = Prediction(features=features + 0.5, logits=logits, labels=logits.argmax(dim=1))
    whole = scores(features, logits, source)
    monkeypatch.setattr(importlib.import_module("tlzoo.selection.validators"), "MAX_POINTS", 30)
    part = scores(features, logits, source)
    assert {name for name in whole if whole[name] != part[name]} == PAIRWISE
    for name in PAIRWISE:
        assert part[name].item() == pytest.approx(whole[name].item(), rel=0.3)
        assert part[name] == scores(features, logits, source)[name]


def test_refusals():
    with pytest.raises(ValueError, match="1 points have no neighbors"):
        soft_neighborhood_density(torch.ones(1, 3))
    with pytest.raises(ValueError, match="temperature 0"):
        neighborhood_density(torch.ones(3, 3), temperature=0)
    with pytest.raises(ValueError, match="no predictions to score"):
        negative_entropy(torch.ones(0, 3))


def test_a_single_point_has_the_scores_that_need_no_pair():
    features, logits = torch.randn(1, 4), torch.randn(1, 3)
    source = Prediction(features=torch.randn(9, 4), logits=torch.randn(9, 3), labels=torch.arange(9) % 3)
    found = scores(features, logits, source)
    assert set(found) == {name for name in (*SCORES, *SOURCE_SCORES) if name not in PAIRWISE}
    assert "entropy" in found


def test_few_source_examples_leave_out_what_needs_more():
    few = Prediction(features=torch.randn(3, 4), logits=torch.randn(3, 2), labels=torch.tensor([0, 1, 0]))
    found = scores(torch.randn(8, 4), torch.randn(8, 2), few)
    assert set(SOURCE_SCORES) - set(found) == {"dev"}


def test_the_average_of_ranks_has_no_unit():
    scores = {"entropy": [0.1, 0.3, 0.2, float("nan")], "snd": [10.0, 10.0, 30.0, 5.0]}
    assert average_ranks(scores).tolist() == [2.75, 1.75, 1.5, 4.0]
    assert average_ranks({name: [1000 * value for value in own] for name, own in scores.items()}).argmin() == 2
    with pytest.raises(ValueError, match="a: 2, b: 1; expected one validator or more"):
        average_ranks({"a": [1, 2], "b": [1]})
    with pytest.raises(ValueError, match="no validator; expected"):
        average_ranks({})
