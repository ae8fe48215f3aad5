"""The projection that UPGrad and DualProj share."""

from __future__ import annotations

from torch import Tensor
from torchjd.linalg import DualConeProjector

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.gramians import dual_cone_weights

__all__ = ["Projector"]


class Projector(DualConeProjector):
    """Projection onto the directions in which no task loses, by non-negative least squares.

    Args:
        regularization: share of the trace of G to add to its diagonal; >= 0.
    """

    def __init__(self, regularization: float) -> None:
        check_at_least(0, regularization=regularization)
        self.regularization = regularization

    def __call__(self, vectors: Tensor, gramian: Tensor) -> Tensor:
        """Map weights (..., K) to those of the projections."""
        return dual_cone_weights(gramian, vectors, regularization=self.regularization)
