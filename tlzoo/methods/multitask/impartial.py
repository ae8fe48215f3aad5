"""What IMTL and IMTL-G share."""

from __future__ import annotations

from torch import Tensor
from torchjd.aggregation import IMTLGWeighting

__all__ = ["impartial_weights"]

_WEIGHTING = IMTLGWeighting()


def impartial_weights(gramian: Tensor) -> Tensor:
    """Return the weights (K,) of equal projections; G is brought to size 1, as TorchJD's tolerance is absolute."""
    scale = gramian.diagonal().mean()
    weights: Tensor = _WEIGHTING(gramian / scale if scale > 0 else gramian)
    return weights
