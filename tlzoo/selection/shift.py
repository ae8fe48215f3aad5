r"""Shift between two domains, and accuracy on the second, measured without a label of it.

Scores of a classifier on held-out source data and on the target are enough; nothing is trained on the target but the
probe that tells the domains apart.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.nn.ridge import RidgeClassifier

__all__ = ["average_threshold", "domain_probe", "label_shift", "nuclear_norm", "temperature"]


def domain_probe(source: Tensor, target: Tensor, *, seed: int = 0) -> float:
    r"""Return how well a linear classifier tells two domains apart, from 0.5 (not at all) to 1.

    It is the balanced accuracy of a ridge regression on the half of the features that it was not fitted to, mean of
    both halves. :math:`2 (2 a - 1)` is the proxy A-distance (Ben-David et al., 2007).

    Args:
        source: features (N, D), N at least 4.
        target: features (M, D), M at least 4.
        seed: of the halves.

    Raises:
        ValueError: a side has fewer than four rows, or the widths differ.

    >>> features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    >>> domain_probe(features, features + 9)
    1.0
    """
    if min(len(source), len(target)) < 4 or source.shape[1:] != target.shape[1:]:
        raise ValueError(f"features {tuple(source.shape)}, {tuple(target.shape)}; expected (N, D) twice, N from 4 on")
    generator = torch.Generator().manual_seed(seed)
    halves = [side[torch.randperm(len(side), generator=generator)].chunk(2) for side in (source, target)]
    found = []
    for fitted, asked in ((0, 1), (1, 0)):
        rows = torch.cat([halves[0][fitted], halves[1][fitted]])
        labels = torch.tensor([0] * len(halves[0][fitted]) + [1] * len(halves[1][fitted]))
        center, scale = rows.mean(dim=0), rows.std(dim=0).clamp_min(1e-12)
        probe = (
            RidgeClassifier(rows.shape[1], 2, penalty=float(rows.shape[1]))
            .to(rows.dtype)
            .fit((rows - center) / scale, labels)
        )
        right = [
            (probe((side[asked] - center) / scale).argmax(dim=1) == domain).double().mean()
            for domain, side in enumerate(halves)
        ]
        found.append(float(torch.stack(right).mean()))
    return max(sum(found) / 2, 0.5)


def label_shift(held_out: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    r"""Return the class shares of the target (C,) by black box shift estimation (Lipton, Wang & Smola, ICML 2018).

    .. math:: \hat q = \operatorname{diag}(p) \, C^{+} \hat\mu, \qquad C_{ij} = P(\hat y = i, y = j)

    with the confusion C of a classifier on held-out source data and the shares :math:`\hat\mu` of its answers on the
    target; negative shares become 0, and the rest is brought to 1. Source: https://arxiv.org/abs/1802.03916.

    Args:
        held_out: scores (N, C) on held-out source data.
        labels: (N,) of them.
        target: scores (M, C).

    >>> scores = torch.eye(2)[[0, 0, 1, 1]]
    >>> label_shift(scores, torch.tensor([0, 0, 1, 1]), torch.eye(2)[[0, 1, 1, 1]]).mul(100).round().tolist()
    [25.0, 75.0]
    """
    classes = held_out.shape[1]
    joint = torch.zeros(classes, classes, dtype=torch.float64)
    joint.index_put_((held_out.argmax(dim=1), labels), torch.tensor(1.0 / len(labels)).double(), accumulate=True)
    answers = target.argmax(dim=1).bincount(minlength=classes).double() / len(target)
    # a class that is rare or never told from another makes the confusion nearly singular
    weights: Tensor = torch.linalg.lstsq(
        torch.cat([joint, 1e-2 * joint.diagonal().mean() * torch.eye(classes).double()]),
        torch.cat([answers, 1e-2 * joint.diagonal().mean() * torch.ones(classes).double()]),
    ).solution
    shares = (weights * joint.sum(dim=0)).clamp_min(0)
    found: Tensor = shares / shares.sum()
    return found.float()


def temperature(scores: Tensor, labels: Tensor) -> float:
    """Return by what scores (N, C) are multiplied so that their softmax fits labels (N,) best, of a hundred values."""
    factors = torch.logspace(-2, 3, 100)
    losses = [F.cross_entropy(factor * scores, labels) for factor in factors]
    return float(factors[torch.stack(losses).argmin()])


def average_threshold(held_out: Tensor, labels: Tensor, target: Tensor) -> float:
    """Return the accuracy on the target by average thresholded confidence (Garg et al., ICLR 2022).

    The threshold leaves as large a share of held-out source examples below as are answered wrongly; the estimate is the
    share of the target above. Confidence is minus the entropy. Source: https://arxiv.org/abs/2201.04234.

    Args:
        held_out: logits (N, C) on held-out source data.
        labels: (N,) of them.
        target: logits (M, C).
    """
    wrong = float((held_out.argmax(dim=1) != labels).double().mean())
    threshold = _certainty(held_out).quantile(wrong)
    return float((_certainty(target) >= threshold).double().mean())


def _certainty(logits: Tensor) -> Tensor:
    probabilities = logits.double().log_softmax(dim=1)
    return (probabilities.exp() * probabilities).sum(dim=1)


def nuclear_norm(logits: Tensor) -> float:
    """Return the nuclear norm of the probabilities of logits (M, C), as a share of the largest that it can be.

    It is high where answers are certain and spread over the classes (Deng et al., ICML 2023),
    https://arxiv.org/abs/2302.01094; no accuracy, but it ranks as accuracies do.
    """
    count, classes = logits.shape
    norm = torch.linalg.matrix_norm(logits.double().softmax(dim=1), ord="nuc")
    return float(norm / (count * min(count, classes)) ** 0.5)
