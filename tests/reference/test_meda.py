"""MEDA against the authors' script, restated, and against the minimum of its objective."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from tlzoo.methods.adaptation import GFK, MEDA
from tlzoo.methods.adaptation.meda import neighbor_laplacian, structural_risk


def drawn(count, seed, shift):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centers = 2 * np.random.default_rng(9).normal(size=(3, 6))
    return centers[labels] + random.normal(size=(count, 6)) + shift, labels


@pytest.mark.verdict("adaptation/meda", against="the authors' script, restated, at a fixed mu", within=1e-8)
def test_meda():
    (x, y), (z, _) = drawn(24, 1, 0.0), drawn(18, 2, 0.7)
    method = MEDA(6, 3, dimensions=2, rounds=3, neighbors=4, standardize=False).double()
    method.fit(torch.from_numpy(x), torch.from_numpy(z), torch.from_numpy(y))

    gfk = GFK(6, 3, dimensions=2, standardize=False).double().fit(torch.from_numpy(x), torch.from_numpy(z))
    points = np.concatenate([gfk.transform_source(x).numpy(), gfk.transform_target(z).numpy()])
    points /= np.sqrt((points**2).sum(1, keepdims=True))
    n, m, size = 24, 18, 42
    sigma = np.sqrt((points**2).sum(1)).sum() / size
    kernel = np.exp(-cdist(points, points, "sqeuclidean") / (2 * sigma**2))
    cosines = points @ points.T
    graph = np.zeros((size, size))
    for i in range(size):
        for j in [j for j in np.argsort(-cosines[i]) if j != i][:4]:
            graph[i, j] = graph[j, i] = max(cosines[i, j], 0)
    roots = np.diag(graph.sum(1) ** -0.5)
    laplacian = np.eye(size) - roots @ graph @ roots
    answers = y[cdist(points[n:], points[:n]).argmin(1)]
    codes = np.concatenate([np.eye(3)[y], np.zeros((m, 3))])
    labelled = np.diag(np.r_[np.ones(n), np.zeros(m)])
    for _ in range(3):
        e = np.r_[np.full(n, 1 / n), np.full(m, -1 / m)][:, None]
        marginal, conditional = 3 * e @ e.T, np.zeros((size, size))
        for c in range(3):
            e = np.zeros((size, 1))
            e[:n][y == c] = 1 / (y == c).sum()
            if (answers == c).any():
                e[n:][answers == c] = -1 / (answers == c).sum()
            conditional += e @ e.T
        both = 0.5 * marginal + 0.5 * conditional
        both /= np.linalg.norm(both)
        alpha = np.linalg.solve((labelled + 10 * both + laplacian) @ kernel + 0.1 * np.eye(size), labelled @ codes)
        answers = (kernel @ alpha)[n:].argmax(1)
    np.testing.assert_allclose(method.transform_target(z).numpy(), (kernel @ alpha)[n:], rtol=1e-8, atol=1e-8)


def test_the_closed_form_is_the_minimum():
    generator = torch.Generator().manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(9, 3, generator=generator, dtype=torch.float64), dim=1)
    kernel, codes = torch.exp(points @ points.T), torch.eye(3).double()[torch.arange(5) % 3]
    contrasts, laplacian = torch.randn(9, 2, generator=generator, dtype=torch.float64), neighbor_laplacian(points, 2)
    alpha = structural_risk(kernel, codes, contrasts, laplacian, alignment=2.0, manifold=0.7, ridge=0.3)
    alpha.requires_grad_()
    scores = kernel @ alpha
    inner = 2.0 * contrasts @ contrasts.T + 0.7 * laplacian
    risk = (codes - scores[:5]).square().sum() + 0.3 * (alpha * scores).sum() + (scores * (inner @ scores)).sum()
    (gradient,) = torch.autograd.grad(risk, alpha)
    assert gradient.abs().max() < 1e-9
