"""DeepEMD against its linear program by another solver, and the authors' weights, restated."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch.nn import functional as F

from tlzoo.methods.oneshot import DeepEMD

PLACES = 4


def episode(shot):
    generator = torch.Generator().manual_seed(shot)
    labels = torch.arange(3).repeat(shot)
    support = torch.randn(1, 3 * shot, 5 * PLACES, generator=generator).double()
    query = torch.randn(1, 6, 5 * PLACES, generator=generator).double()
    return support, labels[None], query


def similarity(query, classes):
    """The authors' logits: maps (Q, C, P) and (W, C, P), and SciPy's solver for the flows."""
    logits = torch.zeros(len(query), len(classes)).double()
    for i, q in enumerate(query):
        for j, s in enumerate(classes):
            ours = F.relu(F.relu(torch.stack([p @ s.mean(1) for p in q.T])) + 1e-3) + 1e-5
            theirs = F.relu(F.relu(torch.stack([p @ q.mean(1) for p in s.T])) + 1e-3) + 1e-5
            ours, theirs = (w * (PLACES / w.sum()) for w in (ours.detach(), theirs.detach()))
            a, b = (x - x.mean(0, keepdim=True) for x in (q, s))
            cosines = F.cosine_similarity(a.T[:, None], b.T[None], dim=-1)
            rows = np.kron(np.eye(PLACES), np.ones(PLACES)), np.kron(np.ones(PLACES), np.eye(PLACES))
            cost = (1 - cosines.detach()).flatten().numpy()
            found = linprog(cost, A_eq=np.concatenate(rows), b_eq=np.concatenate([ours, theirs]))
            flow = torch.from_numpy(found.x.reshape(PLACES, PLACES))
            logits[i, j] = (cosines * flow).sum() * 12.5 / PLACES
    return logits


@pytest.mark.verdict(
    "oneshot/deep_emd", against="the authors' code, restated, with SciPy's linear programs", within=1e-8
)
def test_one_shot(equal):
    support, labels, query = episode(1)
    query.requires_grad_(True)
    found = DeepEMD(places=PLACES)(support, labels, query, way=3)
    maps = [side[0].view(-1, 5, PLACES) for side in (query, support)]
    expected = similarity(*maps)
    equal(found[0].detach(), expected.detach())
    ours, theirs = (torch.autograd.grad(each.square().sum(), [query])[0] for each in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_several_shots_train_the_maps_of_the_classes():
    support, labels, query = episode(2)
    method = DeepEMD(places=PLACES, steps=2)
    found = method(support, labels, query, way=3)
    shown, asked = support[0].view(-1, 5, PLACES), query[0].view(-1, 5, PLACES)
    maps = torch.stack([shown[labels[0] == c].mean(0) for c in range(3)]).requires_grad_(True)
    generator, optimizer = method.random.constant(), torch.optim.SGD([maps], lr=0.1, momentum=0.9, dampening=0.9)
    for _ in range(2):
        for rows in torch.randperm(6, generator=generator).split(4):
            optimizer.zero_grad()
            F.cross_entropy(similarity(shown[rows], maps), labels[0][rows]).backward()
            optimizer.step()
    torch.testing.assert_close(found[0], similarity(asked, maps.detach()), atol=1e-7, rtol=0)
    assert not torch.allclose(found, DeepEMD(places=PLACES, steps=0)(support, labels, query, way=3))


def test_a_feature_that_is_no_map_is_refused():
    support, labels, query = episode(1)
    with pytest.raises(ValueError, match="width 20 are no maps of 3 places"):
        DeepEMD(places=3)(support, labels, query, way=3)
