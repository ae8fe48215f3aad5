import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlzoo.functional import harmonic_mean, seen_unseen_curve

INF = float("inf")


def drawn(seed, *, ties=False, classes=7, count=60):
    """Return scores, labels and which of the classes are seen; every class has examples, of unequal number."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(classes, size=count)])
    scores = random.normal(size=(len(labels), classes)) + 1.5 * np.eye(classes)[labels]
    seen = np.arange(classes) < 4
    scores[:, seen] += 1.0
    if ties:
        scores = (2 * scores).round() / 2  # exact in binary
    return torch.from_numpy(scores), torch.from_numpy(labels), torch.from_numpy(seen)


def by_hand(scores, labels, seen, gamma):
    """Return S and U at a gamma, class by class; an unseen class wins a tie against a seen one."""
    shares = {True: [], False: []}
    for label in range(len(seen)):
        rows = [row for row, of in zip(scores.tolist(), labels.tolist(), strict=True) if of == label]
        hits = 0
        for row in rows:
            best = max(range(len(row)), key=lambda c: (row[c] - gamma if seen[c] else row[c], not seen[c], -c))
            hits += best == label
        shares[bool(seen[label])].append(hits / len(rows))
    return np.mean(shares[True]), np.mean(shares[False])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), gamma=st.floats(-3, 5, allow_nan=False))
def test_the_curve_is_that_of_calibrated_answers(seed, gamma):
    scores, labels, seen = drawn(seed)
    assert seen_unseen_curve(scores, labels, seen).at(gamma) == pytest.approx(by_hand(scores, labels, seen, gamma))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_ends_and_monotony(seed, ties):
    curve = seen_unseen_curve(*drawn(seed, ties=ties))
    assert curve.at(-INF)[1] == curve.unseen[0] == 0
    assert curve.at(INF)[0] == curve.seen[-1] == 0
    assert bool((curve.unseen.diff() >= 0).all())
    assert bool((curve.seen.diff() <= 1e-12).all())
    assert bool((curve.gamma.diff() > 0).all())
    assert 0 <= curve.area <= 1


@pytest.mark.parametrize("ties", [False, True])
def test_area_by_trapezoids(ties):
    scores, labels, seen = drawn(3, ties=ties)
    curve = seen_unseen_curve(scores, labels, seen)
    points = [(float(curve.seen[0]), 0.0), *(by_hand(scores, labels, seen, g) for g in curve.gamma[1:].tolist())]
    area = sum((s0 - s1) * (u0 + u1) / 2 for (s0, u0), (s1, u1) in itertools.pairwise(points))
    assert curve.area == pytest.approx(area, abs=1e-12)


def test_the_best_gamma_is_the_best():
    scores, labels, seen = drawn(5)
    curve = seen_unseen_curve(scores, labels, seen)
    s, u = curve.at(curve.best_gamma())
    assert 2 * s * u / (s + u) == pytest.approx(float(curve.harmonic.max()))
    grid = [curve.at(gamma) for gamma in np.linspace(-4, 6, 400)]
    assert max(2 * s * u / max(s + u, 1e-12) for s, u in grid) <= float(curve.harmonic.max()) + 1e-12


def test_a_constant_on_all_seen_scores_moves_gamma_alone():
    scores, labels, seen = drawn(7)
    ours, moved = seen_unseen_curve(scores, labels, seen), seen_unseen_curve(scores + 2.5 * seen, labels, seen)
    assert moved.area == pytest.approx(ours.area)
    assert moved.best_gamma() == pytest.approx(ours.best_gamma() + 2.5)


def test_seen_accuracy_on_an_axis_of_unseen_accuracy():
    curve = seen_unseen_curve(*drawn(9))
    axis = torch.linspace(0, 1, 11, dtype=torch.float64)
    values = curve.seen_where_unseen(axis)
    for least, value in zip(axis.tolist(), values.tolist(), strict=True):
        reached = [s for s, u in zip(curve.seen.tolist(), curve.unseen.tolist(), strict=True) if u >= least - 1e-9]
        assert value == pytest.approx(max(reached, default=0.0))


def test_one_side_alone_has_no_curve():
    scores, labels, seen = drawn(1)
    with pytest.raises(ValueError, match="7 of 7 candidates are seen"):
        seen_unseen_curve(scores, labels, torch.ones_like(seen))
    rows = torch.nonzero(seen[labels]).flatten()[:5]
    with pytest.raises(ValueError, match="4 of 7 candidates are seen, 5 of 5 examples are of seen classes"):
        seen_unseen_curve(scores[rows], labels[rows], seen)


def test_harmonic_mean_of_nothing_is_nothing():
    values = harmonic_mean(torch.tensor([0.0, 1.0, 0.6]), torch.tensor([0.0, 0.0, 0.6]))
    torch.testing.assert_close(values, torch.tensor([0.0, 0.0, 0.6]))
