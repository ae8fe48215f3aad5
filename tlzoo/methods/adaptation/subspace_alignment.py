"""Subspace alignment: map the principal directions of the source to those of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts, check_pair
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.paper import Paper
from tlzoo.space import Choice, Space

__all__ = ["SubspaceAlignment", "principal_directions"]


class SubspaceAlignment(FeatureTransform):
    r"""Subspace alignment (Fernando et al., ICCV 2013), https://arxiv.org/abs/1409.5241.

    Each domain is standardized by its own mean and deviation, as in the paper. With the first K principal directions P
    of each domain, features z are mapped to

    .. math:: z_s P_s P_s^\top P_t \quad \text{and} \quad z_t P_t

    Differs from the paper: the number of directions is a setting. The paper bounds it by a theorem and chooses it on
    source labels.

    Args:
        num_features: D.
        num_classes: C.
        dimensions: K; D if there are fewer features.
        standardize: whether each domain is standardized first.

    >>> points = torch.tensor([[2.0, 0.0, 1.0], [-2.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, -1.0, 1.0]])
    >>> SubspaceAlignment(3, 2, dimensions=1).fit(points, points).transform_target(points).shape
    torch.Size([4, 1])
    """

    label = "subspace alignment"
    for_regression = True
    paper = Paper(
        title="Unsupervised Visual Domain Adaptation Using Subspace Alignment",
        authors=("Fernando", "Habrard", "Sebban", "Tuytelaars"),
        venue="ICCV",
        year=2013,
        arxiv="1409.5241",
    )
    space = Space(dimensions=Choice((20, 40, 80, 160)))
    variants = ({}, {"dimensions": 2})

    def __init__(self, num_features: int, num_classes: int, *, dimensions: int = 80, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_counts(dimensions=dimensions)
        self.dimensions = min(dimensions, num_features)
        for side in ("source", "target"):
            self.register_buffer(f"{side}_map", torch.full((num_features, self.dimensions), torch.nan))

    @property
    def width(self) -> int:
        """K."""
        return self.dimensions

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the directions of source (N, D) and target (M, D), in float64.

        Raises:
            ValueError: a side has fewer than two rows, or a domain spans fewer than K dimensions.
        """
        check_pair(source, target, least=2)
        bases = {}
        for name, features in (("source", source.double()), ("target", target.double())):
            points = self._remember(name, features)
            bases[name] = principal_directions(points, self.dimensions, what=f"SubspaceAlignment: {name} features")
        self.get_buffer("source_map").copy_(bases["source"] @ (bases["source"].T @ bases["target"]))
        self.get_buffer("target_map").copy_(bases["target"])

    def map_source(self, features: Tensor) -> Tensor:
        """Map features (B, D) to (B, K), in the coordinates of the target."""
        return self._standardized(features, "source") @ fitted(self, "source_map")

    def map_target(self, features: Tensor) -> Tensor:
        """Map features (B, D) to their (B, K) coordinates."""
        return self._standardized(features, "target") @ fitted(self, "target_map")


def principal_directions(points: Tensor, count: int, *, what: str) -> Tensor:
    """Return the first ``count`` principal directions (D, K) of points (N, D), which are centered first.

    Args:
        points: (N, D).
        count: K.
        what: the points in words, for the error.

    Raises:
        ValueError: the points span fewer dimensions.
    """
    centered = points - points.mean(dim=0)
    # by the smaller of both products, which is several times faster than singular vectors of the points
    if len(centered) > centered.shape[1]:
        squares, vectors = torch.linalg.eigh(centered.T @ centered)
        directions = vectors.flip(1)
    else:
        squares, vectors = torch.linalg.eigh(centered @ centered.T)
        directions = torch.nn.functional.normalize(centered.T @ vectors.flip(1), dim=0)
    rounding = max(points.shape) * torch.finfo(points.dtype).eps * float(squares[-1])
    spanned = int((squares > rounding).sum())
    if spanned < count:
        raise ValueError(
            f"{what}: {len(points)} rows span {spanned} dimensions and dimensions={count}; give more examples or a "
            "smaller number"
        )
    first: Tensor = directions[:, :count]
    return first
