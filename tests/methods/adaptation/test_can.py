"""CAN against what its authors' code computes, restated class by class."""

import pytest
import torch

from tlzoo.methods.adaptation import CAN
from tlzoo.methods.adaptation.can import class_discrepancies, spherical_clusters
from tlzoo.types import Prediction

D, C = 4, 3


def side(size, seed, labels=None):
    generator = torch.Generator().manual_seed(seed)
    features, logits = (torch.randn(size, width, generator=generator).double() for width in (D, C))
    return Prediction(
        features=features.requires_grad_(), logits=logits.requires_grad_(), labels=labels, indices=torch.arange(size)
    )


def kernels(squares, width):
    widths = [max(width / 4 * 2**power, 1e-5) for power in range(5)]
    return sum(torch.exp(-(squares / each).clamp(1e-5, 1e5)) for each in widths)


def their_discrepancy(layers, ours, theirs, own, other):
    """The squared MMD between class ``own`` of the source and ``other`` of the target, layers added."""
    total = 0
    for source, target in layers:
        x, y = source[ours == own], target[theirs == other]
        n, m = len(x), len(y)
        ss, tt, st = (torch.cdist(*pair).square() for pair in ((x, x), (y, y), (x, y)))
        width = (ss.sum() + tt.sum() + 2 * st.sum()).item() / (n * n + m * m + 2 * n * m - n - m)
        total = total + kernels(ss, width).mean() + kernels(tt, width).mean() - 2 * kernels(st, width).mean()
    return total


def their_clusters(points, start):
    """K-means with cosine distances, point by point."""

    def nearest(x, centers):
        cosines = torch.cosine_similarity(x[None], centers, dim=1)
        return int(cosines.argmax()), float(1 - cosines.max()) / 2

    centers = start
    while True:
        labels = [nearest(x, centers)[0] for x in points]
        rows = [points[[label == each for label in labels]] for each in range(len(start))]
        found = torch.stack([own.sum(0) if len(own) else begin for own, begin in zip(rows, start, strict=True)])
        moved = (1 - torch.cosine_similarity(found, centers, dim=1)).mean() / 2
        centers = found
        if moved < 0.005:
            return [nearest(x, centers) for x in points]


@pytest.mark.verdict("adaptation/can", against="the authors' clusters and discrepancy, restated", within=1e-9)
def test_can(equal):
    ours = torch.arange(12) % C
    source, target = side(12, 0, ours), side(20, 1)
    with torch.no_grad():
        target.features[15:] += 20 * torch.tensor([1.0, 0, 0, 0])
    start = torch.stack([source.features[ours == label].sum(0) for label in range(C)]).detach()
    expected = their_clusters(target.features.detach(), start)
    method = CAN(D, C, threshold=0.25, least=3, weight=0.3)
    method.on_epoch(target)
    found = method(source, target)["loss"]
    kept = [label if distance < 0.25 else -1 for label, distance in expected]
    theirs = torch.tensor([label if kept.count(label) >= 3 else -1 for label in kept])
    assert torch.equal(method.memory.labels, theirs)
    assert bool((theirs < 0).any())

    layers = [(source.features, target.features), (source.logits.softmax(1), target.logits.softmax(1))]
    shared = [label for label in range(C) if bool((theirs == label).any())]
    assert len(shared) > 1
    within = sum(their_discrepancy(layers, ours, theirs, each, each) for each in shared) / len(shared)
    pairs = [(one, other) for one in shared for other in shared if one != other]
    between = sum(their_discrepancy(layers, ours, theirs, *pair) for pair in pairs) / len(pairs)
    wanted = 0.3 * (within - between)
    equal(found, wanted)
    inputs = [source.features, source.logits, target.features, target.logits]
    for mine, other in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(wanted, inputs), strict=True):
        equal(mine, other)


def test_clusters_are_matched_to_the_starts():
    start = torch.eye(3)
    points = torch.cat([start + 0.01, start + 0.02])
    labels, distances = spherical_clusters(points, start)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert float(distances.max()) < 0.01
    lonely, _ = spherical_clusters(points[:1], start)  # two centers stay where they start
    assert lonely.tolist() == [0]


def test_classes_that_coincide_have_no_discrepancy():
    points, labels = torch.randn(8, 3), torch.arange(8) % 2
    found = class_discrepancies([(points, points)], labels, labels, classes=torch.tensor([0, 1]))
    torch.testing.assert_close(found.diagonal(), torch.zeros(2), atol=1e-6, rtol=0)
    assert float(found[0, 1]) > 0


def test_centers_are_of_the_batches_since_the_last_clustering():
    source, target = side(12, 0, torch.arange(12) % C), side(6, 1)
    method = CAN(D, C, threshold=1.0, least=1)
    with pytest.raises(ValueError, match="call on_epoch"):
        method(source, target)
    method.on_epoch(target)
    for _ in range(2):
        method(source, target)
    once = torch.zeros(C, D).double().index_add(0, source.labels, source.features.detach())
    torch.testing.assert_close(method.memory.sums.double() / once, torch.full((C, D), 2.0).double(), atol=1e-4, rtol=0)
    method.on_epoch(target)
    method(source, target)
    torch.testing.assert_close(method.memory.sums.double(), once, atol=1e-5, rtol=1e-5)
    assert not len(method.memory.features)


def test_without_a_confident_class_there_is_no_loss():
    source, target = side(12, 0, torch.arange(12) % C), side(6, 1)
    method = CAN(D, C, threshold=0.0)
    method.on_epoch(target)
    assert method(source, target)["loss"].item() == 0
