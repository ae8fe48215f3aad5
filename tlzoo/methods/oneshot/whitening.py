"""SimpleShot on features that are whitened within classes: the baseline of one-shot learning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import negative_squared_distances, prototypes, symmetric_power
from tlzoo.functional.checks import check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.space import LogUniform, Space
from tlzoo.types import Sees

__all__ = ["Whitening"]


class Whitening(EpisodeClassifier):
    r"""Nearest centroids of features that are centered, whitened within classes and normalized.

    The base classes tell which directions vary within a class and therefore say little of it. Features are centered by
    the base mean m, multiplied by

    .. math:: (S_w + r \, \tfrac{\operatorname{tr} S_w}{D} I)^{-1/2}

    with S_w the covariance within the base classes, and divided by their norm: SimpleShot's CL2N with a whitening
    between its two steps, as within-class covariance normalization does in speaker recognition (Hatch, Kajarekar &
    Stolcke, Interspeech 2006). The nearest centroid determines the class.

    Args:
        num_features: D.
        shrinkage: r, what is added to the variances, as a share of their mean.

    >>> base = torch.tensor([[0.0, 5.0], [0.0, -5.0], [4.0, 5.0], [4.0, -5.0]])  # the second feature is noise
    >>> method = Whitening(2, shrinkage=0.01)
    >>> _ = method.fit_base(base, torch.tensor([0, 0, 1, 1]))
    >>> support, labels = torch.tensor([[0.0, 5.0], [4.0, -5.0]]), torch.tensor([0, 1])
    >>> method(support, labels, torch.tensor([[0.0, -3.0]]), way=2).argmax(dim=1).tolist()
    [0]
    """

    label = "CL2N, whitened within classes"
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    space = Space(shrinkage=LogUniform(0.1, 10.0))
    variants = ({}, {"shrinkage": 0.1})
    rotation_invariant = True

    def __init__(self, num_features: int, *, shrinkage: float = 1.0) -> None:
        super().__init__()
        check_positive(shrinkage=shrinkage)
        self.num_features, self.shrinkage = num_features, shrinkage
        self.reserve("base_mean", num_features)
        self.reserve("map", num_features, num_features)

    def learn_base(self, features: Tensor, labels: Tensor | None) -> None:
        """Keep the mean of the base features (N, D) and what whitens them within classes (N,), in float64.

        Raises:
            ValueError: no class has two different examples, so nothing varies within classes.
        """
        assert labels is not None  # fit_base asks for them
        x = features.double()
        members = torch.unique(labels, return_inverse=True)[1]
        counts = members.bincount().clamp(min=1)
        means = x.new_zeros(len(counts), x.shape[1]).index_add_(0, members, x) / counts[:, None]
        rest = x - means[members]
        freedom = len(x) - len(counts)
        within = rest.T @ rest / max(freedom, 1)
        average = float(within.detach().diagonal().mean())
        if not freedom or average == 0:
            raise ValueError(
                f"{type(self).__name__} whitens by what varies within base classes, and nothing does; "
                "give two different examples of a class"
            )
        identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        self.base_mean = x.mean(dim=0).to(features)
        self.map = symmetric_power(within + self.shrinkage * average * identity, -0.5).to(features)

    def transform(self, features: Tensor) -> Tensor:
        """Center, whiten and normalize features (..., D).

        Raises:
            RuntimeError: it is used before ``fit_base``.
        """
        centered = features - fitted(self, "base_mean", by="fit_base")
        return F.normalize(centered @ fitted(self, "map", by="fit_base"), dim=-1)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        return negative_squared_distances(query, prototypes(support, support_labels, way))
