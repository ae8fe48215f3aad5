"""One space for the features of two encoders that were trained apart: ridge regression on classes with both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_positive

__all__ = ["AlignedSpace", "aligned_space"]

_SCALES = tuple(float(2**power) for power in range(1, 9))
_PENALTIES = tuple(10.0**power for power in range(-3, 4))


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedSpace:
    """Maps pictures' features and class texts' embeddings into one space, where cosines compare them.

    Attributes:
        mean: (D,) of the features, taken away before they are normalized.
        text_mean: (A,) of the normalized embeddings, taken away from them.
        weights: (A, D), from centered embeddings to centered features.
        scale: factor of cosines with which a softmax fits best.
        penalty: of the ridge regression that gave the weights.
    """

    mean: Tensor
    text_mean: Tensor
    weights: Tensor
    scale: float
    penalty: float

    def pictures(self, features: Tensor) -> Tensor:
        """Map features (..., D) to directions (..., D)."""
        return F.normalize(features - self.mean, dim=-1)

    def texts(self, embeddings: Tensor) -> Tensor:
        """Map embeddings (..., A) of class texts to directions (..., D)."""
        return F.normalize((F.normalize(embeddings, dim=-1) - self.text_mean) @ self.weights, dim=-1)


def aligned_space(
    features: Tensor,
    labels: Tensor,
    embeddings: Tensor,
    *,
    held_out: tuple[Tensor, Tensor, Tensor],
    penalties: tuple[float, ...] = _PENALTIES,
    scales: tuple[float, ...] = _SCALES,
) -> AlignedSpace:
    r"""Join two encoders on classes that have labelled pictures and texts.

    .. math:: \min_W \sum_c \lVert \bar t_c W - \mu_c \rVert^2 + \lambda \lVert W \rVert^2

    with the mean direction :math:`\mu_c` of the centered features of class c and its normalized, then centered
    embedding. The penalty and the scale are those under which the texts of held-out classes predict their pictures
    best, by cross-entropy; no other class is used.

    Args:
        features: (N, D) of pictures.
        labels: (N,) rows of ``embeddings``.
        embeddings: (C, A) of the classes' texts.
        held_out: features, labels and embeddings of other classes.
        penalties: lambda to choose from, relative to the mean square of a class's row.
        scales: to choose from.

    Raises:
        ValueError: a penalty or scale is not above 0, or there is no class to fit or to choose on.
    """
    check_positive(penalties=min(penalties), scales=min(scales))
    if not len(labels) or not len(held_out[1]):
        raise ValueError(f"{len(labels)} pictures to join on and {len(held_out[1])} to choose on; give some of both")
    embeddings, other = F.normalize(embeddings, dim=-1), F.normalize(held_out[2], dim=-1)
    mean, present = features.mean(dim=0), labels.bincount().nonzero()[:, 0]
    text_mean = embeddings[present].mean(dim=0)
    directions = F.normalize(features - mean, dim=-1)
    targets = torch.stack([directions[labels == label].mean(dim=0) for label in present])
    rows = embeddings[present] - text_mean
    gram = rows.T @ rows
    size = gram.trace() / len(gram)
    shown = F.normalize(held_out[0] - mean, dim=-1)
    found: list[tuple[float, AlignedSpace]] = []
    for penalty in penalties:
        weights = torch.linalg.solve(gram + penalty * size * torch.eye(len(gram)).to(gram), rows.T @ targets)
        cosines = shown @ F.normalize((other - text_mean) @ weights, dim=-1).T
        losses = [(float(F.cross_entropy(scale * cosines, held_out[1])), scale) for scale in scales]
        loss, scale = min(losses)
        space = AlignedSpace(mean=mean, text_mean=text_mean, weights=weights, scale=scale, penalty=penalty)
        found.append((loss, space))
    return min(found, key=lambda each: each[0])[1]
