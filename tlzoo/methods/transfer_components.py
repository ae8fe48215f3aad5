"""The base of transforms that keep what varies and differs little between domains (TCA, JDA, BDA, TJM)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_choice, check_counts, check_pair, check_positive
from tlzoo.functional.transfer_components import transfer_components
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform

__all__ = ["Kernel", "TransferComponents", "nearest_labels"]

Kernel = Literal["linear", "primal"]


class TransferComponents(FeatureTransform):
    r"""Maps both domains by one matrix to K directions of large variance and small difference between domains.

    With both domains in the rows of X, their inner products :math:`K = X X^\top`, centering H and contrasts E:

    .. math::

        \max_A \; \operatorname{tr}(A^\top K H K A) \quad \text{with} \quad A^\top (K M K + \lambda I) A = I, \qquad
        M = \frac{E E^\top}{\lVert E E^\top \rVert_F}

    These are the papers' generalized eigenvectors; each component has the scale of its eigenvalue, as in the authors'
    scripts, where the papers' constraint would give all components one variance. Rows have length 1 before and after,
    as in these scripts. Since K has the rank of X, the problem is solved in at most D dimensions, and new examples are
    mapped by a (D, K) matrix.

    Args:
        num_features: D.
        num_classes: C.
        dimensions: K; D if there are fewer features. Beyond the rank of the data, components are 0.
        regularization: lambda.
        kernel: ``"linear"`` for the formula above; ``"primal"`` for directions in feature space, with X^T in place of
            K.
        unit_length: whether rows have length 1 before and after.
        standardize: whether each domain is standardized first.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        dimensions: int = 100,
        regularization: float = 1.0,
        kernel: Kernel = "linear",
        unit_length: bool = True,
        standardize: bool = True,
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_counts(dimensions=dimensions)
        check_positive(regularization=regularization)
        check_choice(kernel, ("linear", "primal"), what="kernel")
        self.dimensions = min(dimensions, num_features)
        self.regularization, self.kernel, self.unit_length = regularization, kernel, unit_length
        self.register_buffer("map", torch.full((num_features, self.dimensions), torch.nan))

    @property
    def width(self) -> int:
        """K."""
        return self.dimensions

    def factors(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return left (N + M, R) and right (D, R) singular vectors of both standardized domains, and R values.

        Raises:
            ValueError: a side is empty, or all features are 0.
        """
        check_pair(source, target)
        sides = [self._remember(name, side.double()) for name, side in (("source", source), ("target", target))]
        points = torch.cat([self._scaled(side) for side in sides])
        # by the smaller of both products, which is several times faster than singular vectors of the points
        wide = len(points) < points.shape[1]
        squares, vectors = torch.linalg.eigh(points @ points.T if wide else points.T @ points)
        kept = squares > max(points.shape) * torch.finfo(points.dtype).eps * squares[-1]
        if not kept.any():
            raise ValueError(f"{type(self).__name__}: all features are 0 once standardized; nothing varies")
        lengths, vectors = squares[kept].sqrt(), vectors[:, kept]
        others = (points.T if wide else points) @ vectors / lengths
        return (vectors, lengths, others) if wide else (others, lengths, vectors)

    def learn(self, points: Tensor, contrasts: Tensor, back: Tensor) -> Tensor:
        """Find the components of points (N + M, R) and return the mapped points (N + M, K).

        Args:
            points: the examples in coordinates in which the penalty of a direction is its length.
            contrasts: E (N + M, P).
            back: (D, R) matrix that turns a direction in these coordinates into one for features.
        """
        scaled = contrasts / torch.linalg.matrix_norm(contrasts.T @ contrasts).sqrt()
        count = min(self.dimensions, points.shape[1])
        found = transfer_components(points, scaled, count=count, regularization=self.regularization)
        self.directions = found
        self.get_buffer("map").zero_()
        self.get_buffer("map")[:, :count] = (back @ found).to(self.get_buffer("map"))
        return self._scaled(points @ found)

    def coordinates(self, left: Tensor, lengths: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points (N + M, R) and the matrix back (D, R) of the kernel for :meth:`learn`."""
        if self.kernel == "linear":
            return left * lengths.square(), right * lengths
        return left * lengths, right

    def map_source(self, features: Tensor) -> Tensor:
        """Map features (B, D) to (B, K)."""
        return self._scaled(self._scaled(self._standardized(features, "source")) @ fitted(self, "map"))

    def map_target(self, features: Tensor) -> Tensor:
        """Map features (B, D) to (B, K)."""
        return self._scaled(self._scaled(self._standardized(features, "target")) @ fitted(self, "map"))

    def _scaled(self, rows: Tensor) -> Tensor:
        return F.normalize(rows, dim=1) if self.unit_length else rows


def nearest_labels(points: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """Return (M,) the labels of those among points (N, D) that are nearest to others (M, D)."""
    found: Tensor = labels[torch.cdist(others, points).argmin(dim=1)]
    return found


def marginal_contrast(source: int, target: int, like: Tensor) -> Tensor:
    """Return the (N + M, 1) contrast of the means of the domains."""
    return torch.cat([like.new_full((source, 1), 1 / source), like.new_full((target, 1), -1 / target)])
