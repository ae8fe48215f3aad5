"""Scores of predictions on unlabelled target training inputs; higher is always better."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import batch_nuclear_norm_loss, entropy, information_maximization
from tlzoo.functional.checks import check_at_least
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.selection.source_validators import FEWEST, OF_VALUES, SOURCE_SCORES, blocks
from tlzoo.types import Prediction

__all__ = [
    "MAX_POINTS",
    "PAIRWISE",
    "SCORES",
    "class_cluster",
    "matrix_norm",
    "negative_entropy",
    "negative_information",
    "scores",
    "soft_neighborhood_density",
]

MAX_POINTS = 4000
"""How many points per side :func:`scores` compares in pairs; from larger sets it draws them once."""


def negative_entropy(logits: Tensor) -> Tensor:
    """Return the negative mean entropy of logits (N, C), in nats (Morerio et al., ICLR 2018).

    Source: https://arxiv.org/abs/1711.10288.

    Raises:
        ValueError: there are no predictions.
    """
    if not len(logits):
        raise ValueError("no predictions to score; expected one row of logits or more")
    return -entropy(logits).mean()


def negative_information(logits: Tensor) -> Tensor:
    """Return the entropy of the mean prediction minus the mean entropy of logits (N, C).

    It is highest when predictions are certain and diverse.

    Raises:
        ValueError: there are no predictions.

    >>> negative_information(100 * torch.eye(2)) > negative_information(torch.zeros(2, 2))
    tensor(True)
    """
    return -information_maximization(logits)


def soft_neighborhood_density(logits: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Soft neighborhood density (Saito et al., ICCV 2021), https://arxiv.org/abs/2108.10860.

    For every point, take the softmax of its similarities to the other points, divided by the temperature, and return
    the mean entropy. Similarities are inner products of L2-normalized softmax outputs, as in the authors' code.

    Args:
        logits: (N, C).
        temperature: temperature of the softmax over neighbors.

    Raises:
        ValueError: there are fewer than two points.

    >>> tight, loose = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]]), torch.eye(4) * 9
    >>> soft_neighborhood_density(loose) > soft_neighborhood_density(tight)
    tensor(True)
    """
    return neighborhood_density(at_least_float32(logits).softmax(dim=1), temperature=temperature)


def neighborhood_density(points: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Return the mean entropy, in nats, of the soft neighborhoods of points (N, D).

    Raises:
        ValueError: there are fewer than two points, or the temperature is not positive.
    """
    if len(points) < 2:
        raise ValueError(f"{len(points)} points have no neighbors; expected at least two")
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}; expected a number > 0")
    directions = F.normalize(at_least_float32(points), dim=1)
    entropies = []
    for first, rows in blocks(directions):
        similarity = matmul(rows, directions.T) / temperature
        similarity.diagonal(first).fill_(torch.finfo(similarity.dtype).min / 4)  # no point is its own neighbor
        below = similarity - similarity.amax(dim=1, keepdim=True)
        weights = below.exp()
        total = weights.sum(dim=1)
        entropies.append(total.log() - (weights * below).sum(dim=1) / total)
    return torch.cat(entropies).mean()


def class_cluster(features: Tensor, logits: Tensor) -> Tensor:
    r"""Return the mean silhouette of features (N, D) under the predicted classes of logits (N, C), in [-1, 1].

    .. math:: \frac{b - a}{\max(a, b)}

    with the mean distance a of an example to its own predicted class and b to the nearest other class (Rousseeuw, 1987;
    as a validator: Musgrave et al., https://arxiv.org/abs/2208.07360). An example alone in its class counts 0. If the
    model predicts a single class, the value is 0.

    Raises:
        ValueError: there are no predictions.

    >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
    >>> apart, mixed = torch.eye(2)[[0, 0, 1, 1]], torch.eye(2)[[0, 1, 0, 1]]
    >>> bool(class_cluster(points, apart) > class_cluster(points, mixed))
    True
    """
    if not len(logits):
        raise ValueError("no predictions to score; expected one row or more")
    features, classes = at_least_float32(features), logits.argmax(dim=1)
    members = F.one_hot(classes, logits.shape[1]).to(features)
    counts = members.sum(dim=0)
    sums = _distance_sums(features, members)
    own = counts[classes]
    within = sums.gather(1, classes[:, None]).squeeze(1) / (own - 1).clamp_min(1)
    others = (sums / counts.clamp_min(1)).masked_fill((counts == 0) | members.bool(), torch.inf)
    nearest = others.amin(dim=1)
    silhouette = (nearest - within) / torch.maximum(nearest, within).clamp_min(torch.finfo(features.dtype).tiny)
    return torch.where((own > 1) & nearest.isfinite(), silhouette, torch.zeros_like(within)).mean()


def _distance_sums(points: Tensor, members: Tensor) -> Tensor:
    """Return the sums (N, C) of the Euclidean distances of points (N, D) to the members (N, C) of each class.

    Inner products of centered points in float64 are several times faster than differences, and exact enough.
    """
    centered = points.double() - points.double().mean(dim=0)
    norms = centered.square().sum(dim=1)
    sums = []
    for first, rows in blocks(centered):
        squared = (norms[first : first + len(rows), None] + norms - 2 * rows @ centered.T).clamp_min(0)
        squared.diagonal(first).zero_()
        sums.append(matmul(squared.sqrt().to(points.dtype), members))
    return torch.cat(sums)


def matrix_norm(logits: Tensor, *, order: float = 4.0, limit: float = 5.0) -> Tensor:
    r"""Return the matrix norm of normalized logits (N, C), in [0, 1]: MaNo (Xie et al., NeurIPS 2024).

    .. math:: \left( \frac{1}{N C} \sum_{ic} v_{ic}^p \right)^{1/p}

    It estimates accuracy on unlabelled data; source: https://arxiv.org/abs/2405.18979. The rows v are softmaxes where
    the mean cross-entropy of predictions to the uniform distribution is above ``limit``. Otherwise the model is badly
    calibrated, and they are :math:`1 + z + z^2 / 2`, less the smallest of the row, divided by their sum.

    Differs from the authors' code: all predictions are normed together, where it averages norms of batches.

    Args:
        logits: (N, C).
        order: p.
        limit: of the cross-entropy, in nats.

    Raises:
        ValueError: there are no predictions, or the order is below 1.

    >>> round(float(matrix_norm(torch.tensor([[9.0, 0.0], [0.0, 9.0]]))), 3)
    0.841
    """
    if not len(logits):
        raise ValueError("no predictions to score; expected one row of logits or more")
    check_at_least(1, order=order)
    given = at_least_float32(logits).detach()
    if -given.log_softmax(dim=1).mean() > limit:
        rows = given.softmax(dim=1)
    else:
        raw = 1 + given + given.square() / 2
        rows = F.normalize(raw - raw.amin(dim=1, keepdim=True), p=1, dim=1)
    return rows.pow(order).mean().pow(1 / order)


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "entropy": lambda _, logits: negative_entropy(logits),
    "information": lambda _, logits: negative_information(logits),
    "snd": lambda _, logits: soft_neighborhood_density(logits),
    "bnm": lambda _, logits: -batch_nuclear_norm_loss(logits),
    "class_cluster": class_cluster,
}
"""Name -> score of features (N, D) and logits (N, C) of unlabelled target inputs; higher is better."""

PAIRWISE = frozenset({"snd", "class_cluster", "mmd"})
"""Names of the scores whose time grows with the square of the examples."""


def scores(
    features: Tensor, logits: Tensor, source: Prediction | None = None, *, regression: bool = False
) -> dict[str, Tensor]:
    """Return every score of the predictions on unlabelled target inputs, from one pass over them.

    Scores that compare all pairs of points (:data:`PAIRWISE`) take :data:`MAX_POINTS` per side, the same at every call,
    because their time grows with the square. A single target point has no pairs: those scores are left out, and so are
    those that need more source examples than there are.

    Args:
        features: (N, D).
        logits: (N, C).
        source: predictions of held-out, labelled source data, for the scores that use them
            (:data:`~tlzoo.selection.source_validators.SOURCE_SCORES`); None if the method may not see the source.
        regression: whether ``logits`` are values (N, T), of which scores that read probabilities say nothing: those of
            :data:`~tlzoo.selection.source_validators.OF_VALUES` remain.
    """
    target = Prediction(features=features, logits=logits)
    few = _drawn(target)
    found = {}
    left_out = set(PAIRWISE) if len(logits) == 1 else set()
    if regression:
        left_out |= {*SCORES, *SOURCE_SCORES} - OF_VALUES
    for name, score in SCORES.items():
        if name in left_out:
            continue
        own = few if name in PAIRWISE else target
        found[name] = score(own.features, own.logits)
    if source is not None:
        for name, compare in SOURCE_SCORES.items():
            if name in left_out or len(source) < FEWEST.get(name, 1):
                continue
            found[name] = compare(_drawn(source), few) if name in PAIRWISE else compare(source, target)
    return found


def _drawn(prediction: Prediction) -> Prediction:
    """Return the features and logits of at most MAX_POINTS examples, drawn at random."""
    count = len(prediction.logits)
    if count <= MAX_POINTS:
        return prediction
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:MAX_POINTS].sort().values
    chosen = chosen.to(prediction.logits.device)
    return Prediction(features=prediction.features[chosen], logits=prediction.logits[chosen])
