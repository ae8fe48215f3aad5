"""GFK: inner products integrated over all subspaces on the way from source to target."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts, check_pair
from tlzoo.methods.adaptation.subspace_alignment import principal_directions
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.paper import Paper
from tlzoo.space import Choice, Space

__all__ = ["GFK", "geodesic_flow_kernel"]


class GFK(FeatureTransform):
    r"""Geodesic flow kernel (Gong et al., CVPR 2012), https://doi.org/10.1109/CVPR.2012.6247911.

    With the geodesic :math:`\Phi(t)` from the first K principal directions of the source to those of the target, the
    inner product of two examples is integrated over it:

    .. math:: x^\top \left( \int_0^1 \Phi(t) \Phi(t)^\top \, dt \right) z

    The integral has a closed form and rank 2 K, so that features are mapped to the 2 K coordinates in which it is the
    usual inner product, for both domains alike.

    Differs from the paper: K is a setting. The paper chooses it by the disagreement of the subspaces, and also has
    partial least squares for the source.

    Args:
        num_features: D.
        num_classes: C.
        dimensions: K; half of D if there are fewer features.
        standardize: whether each domain is standardized first.

    >>> points = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    >>> GFK(6, 2, dimensions=2).fit(points, points).transform_source(points).shape
    torch.Size([40, 4])
    """

    for_regression = True
    paper = Paper(
        title="Geodesic Flow Kernel for Unsupervised Domain Adaptation",
        authors=("Gong", "Shi", "Sha", "Grauman"),
        venue="CVPR",
        year=2012,
        doi="10.1109/CVPR.2012.6247911",
    )
    space = Space(dimensions=Choice((10, 20, 40, 80)))
    variants = ({}, {"dimensions": 1, "standardize": False})

    def __init__(self, num_features: int, num_classes: int, *, dimensions: int = 20, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_counts(dimensions=dimensions)
        self.dimensions = min(dimensions, max(num_features // 2, 1))
        self.register_buffer("map", torch.full((num_features, self.width), torch.nan))

    @property
    def width(self) -> int:
        """2 K."""
        return 2 * self.dimensions

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the kernel of source (N, D) and target (M, D), in float64.

        Raises:
            ValueError: a side has fewer than two rows, or a domain spans fewer than K dimensions.
        """
        check_pair(source, target, least=2)
        bases = [
            principal_directions(self._remember(name, side.double()), self.dimensions, what=f"GFK: {name} features")
            for name, side in (("source", source), ("target", target))
        ]
        self.get_buffer("map").copy_(geodesic_flow_kernel(*bases))

    def map_source(self, features: Tensor) -> Tensor:
        """Map features (B, D) to (B, 2 K)."""
        return self._standardized(features, "source") @ fitted(self, "map")

    def map_target(self, features: Tensor) -> Tensor:
        """Map features (B, D) to (B, 2 K)."""
        return self._standardized(features, "target") @ fitted(self, "map")


def geodesic_flow_kernel(source: Tensor, target: Tensor) -> Tensor:
    r"""Return a factor (D, 2 K) of the kernel, whose product with its own transpose is the integral.

    With principal angles :math:`\theta_i`, principal vectors :math:`a_i` of the source and orthogonal directions
    :math:`b_i` towards the target, :math:`\Phi(t)` has columns :math:`a_i \cos t \theta_i + b_i \sin t \theta_i`.

    Args:
        source: (D, K) orthonormal directions.
        target: (D, K) orthonormal directions.

    >>> axes = torch.eye(3).double()
    >>> factor = geodesic_flow_kernel(axes[:, :1], axes[:, :1])
    >>> (factor @ factor.T).diagonal().tolist()
    [1.0, 0.0, 0.0]
    """
    left, cosines, right = torch.linalg.svd(source.T @ target)
    starts, ends = source @ left, target @ right.T
    rest = ends - starts * cosines
    sines = torch.linalg.vector_norm(rest, dim=0)
    angles = torch.atan2(sines, cosines)
    apart = angles > torch.finfo(angles.dtype).eps ** 0.5  # else source and target share the direction
    towards = torch.where(apart, rest / sines.where(apart, torch.ones_like(sines)), torch.zeros_like(rest))
    double = 2 * angles.where(apart, torch.ones_like(angles))
    one = torch.where(apart, (1 + double.sin() / double) / 2, torch.ones_like(angles))
    mixed = torch.where(apart, (1 - double.cos()) / (2 * double), torch.zeros_like(angles))
    two = torch.where(apart, (1 - double.sin() / double) / 2, torch.zeros_like(angles))
    blocks = torch.stack([torch.stack([one, mixed], dim=1), torch.stack([mixed, two], dim=1)], dim=2)  # (K, 2, 2)
    values, vectors = torch.linalg.eigh(blocks)
    factors = vectors * values.clamp_min(0).sqrt()[:, None, :]
    pairs = torch.stack([starts, towards], dim=2)  # (D, K, 2)
    return torch.einsum("dki,kij->dkj", pairs, factors).flatten(1)
