"""MEDA: a classifier on manifold features that is smooth on both domains and aligns their distributions."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts, check_positive, check_shares
from tlzoo.functional.transfer_components import mean_contrasts
from tlzoo.methods.adaptation.gfk import geodesic_flow_kernel
from tlzoo.methods.adaptation.subspace_alignment import principal_directions
from tlzoo.methods.base import fitted
from tlzoo.methods.transfer_components import marginal_contrast, nearest_labels
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space

__all__ = ["MEDA", "neighbor_laplacian", "structural_risk"]


class MEDA(FeatureTransform):
    r"""Manifold embedded distribution alignment (Wang et al., ACM Multimedia 2018), https://arxiv.org/abs/1807.07258.

    Features pass the geodesic flow kernel (:class:`~tlzoo.methods.adaptation.gfk.GFK`) and get length 1. With a
    Gaussian kernel K among them the scores are :math:`f = K \alpha`, where

    .. math:: \alpha = \left( (A + \lambda M + \rho L) K + \eta I \right)^{-1} A Y

    with the one-hot labels Y of the source, which A selects, the Laplacian L of nearest neighbors by cosine, and

    .. math:: M \propto (1 - \mu) \, C \, e_0 e_0^\top + \mu \sum_{c=1}^{C} e_c e_c^\top

    of Frobenius norm 1, with the contrasts of the domains and of the classes. The target's classes are first those of
    the nearest source example, then the answers of the round before. The scores are the classifier; ``map_target``
    gives them for any features, by the kernel with those of the fit.

    Differs from the paper: mu is a setting, as in the experiments that vary it; the paper also estimates it by
    A-distances.

    Args:
        num_features: D.
        num_classes: C.
        rounds: how often the scores are solved for.
        dimensions: of the subspaces of GFK, at most half of D.
        alignment: lambda.
        ridge: eta.
        manifold: rho.
        balance: mu, in [0, 1].
        neighbors: of the Laplacian.
        standardize: whether each domain is standardized first.

    >>> generator = torch.Generator().manual_seed(0)
    >>> labels = torch.arange(40) % 2
    >>> source = torch.randn(40, 4, generator=generator) + 4 * labels[:, None]
    >>> method = MEDA(4, 2, dimensions=2).fit(source, source + 1, labels)
    >>> bool((method.transform_target(source + 1).argmax(dim=1) == labels).all())
    True
    """

    paper = Paper(
        title="Visual Domain Adaptation with Manifold Embedded Distribution Alignment",
        authors=("Wang", "Feng", "Chen", "Yu", "Huang", "Yu"),
        venue="ACM Multimedia",
        year=2018,
        arxiv="1807.07258",
    )
    supervised = True
    space = Space(
        dimensions=Choice((10, 20, 40, 80)), alignment=LogUniform(0.1, 100.0), manifold=LogUniform(0.01, 10.0)
    )
    variants = ({}, {"dimensions": 1, "rounds": 2, "balance": 1.0, "neighbors": 3, "standardize": False})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        rounds: int = 10,
        dimensions: int = 20,
        alignment: float = 10.0,
        ridge: float = 0.1,
        manifold: float = 1.0,
        balance: float = 0.5,
        neighbors: int = 10,
        standardize: bool = True,
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_counts(rounds=rounds, dimensions=dimensions, neighbors=neighbors)
        check_at_least(0, alignment=alignment, manifold=manifold)
        check_positive(ridge=ridge)
        check_shares(balance=balance)
        self.rounds, self.neighbors = rounds, neighbors
        self.dimensions = min(dimensions, max(num_features // 2, 1))
        self.alignment, self.ridge, self.manifold, self.balance = alignment, ridge, manifold, balance
        self.register_buffer("map", torch.full((num_features, 2 * self.dimensions), torch.nan))
        self.reserve("points", 1, 2 * self.dimensions)
        self.reserve("coefficients", 1, num_classes)
        self.reserve("scale")

    @property
    def width(self) -> int:
        """C: the output is the scores."""
        return self.num_classes

    @property
    def transformable(self) -> bool:
        """The rounds depend on answers, and eigenproblems have no gradient where they coincide."""
        return False

    def make_classifier(self) -> nn.Module:
        """Return a classifier that answers with the scores."""
        return _Scores()

    def fit_maps_by_class(self, source: Tensor, labels: Tensor, target: Tensor) -> None:
        """Find the scores of source (N, D) with labels (N,) and target (M, D), in float64.

        Raises:
            ValueError: a side has fewer than two rows, or a domain spans fewer than K dimensions.
        """
        ours, theirs = self._remember("source", source.double()), self._remember("target", target.double())
        bases = [
            principal_directions(side, self.dimensions, what=f"MEDA: {name} features")
            for name, side in (("source", ours), ("target", theirs))
        ]
        factor = geodesic_flow_kernel(*bases)
        points = F.normalize(torch.cat([ours, theirs]) @ factor, dim=1)
        scale = torch.linalg.vector_norm(points, dim=1).mean()
        kernel = gaussian(points, points, scale)
        laplacian = neighbor_laplacian(points, self.neighbors)
        marginal = self.num_classes**0.5 * marginal_contrast(len(ours), len(theirs), points)
        answers = nearest_labels(points[: len(ours)], labels, points[len(ours) :])
        for _ in range(self.rounds):
            own = mean_contrasts(labels, answers, self.num_classes).to(points)
            contrasts = torch.cat([(1 - self.balance) ** 0.5 * marginal, self.balance**0.5 * own], dim=1)
            coefficients = structural_risk(
                kernel,
                F.one_hot(labels, self.num_classes).to(points),
                contrasts / torch.linalg.matrix_norm(contrasts.T @ contrasts).sqrt(),
                laplacian,
                alignment=self.alignment,
                manifold=self.manifold,
                ridge=self.ridge,
            )
            found = (kernel @ coefficients)[len(ours) :].argmax(dim=1)
            if torch.equal(found, answers):
                break  # the rounds to come would find the same
            answers = found
        like = self.get_buffer("source_mean")
        self.get_buffer("map").copy_(factor)
        self.points, self.coefficients = points.to(like), coefficients.to(like)
        self.scale = scale.to(like)

    def map_source(self, features: Tensor) -> Tensor:
        """Map features (B, D) to scores (B, C)."""
        return self._scores(self._standardized(features, "source"))

    def map_target(self, features: Tensor) -> Tensor:
        """Map features (B, D) to scores (B, C)."""
        return self._scores(self._standardized(features, "target"))

    def _scores(self, features: Tensor) -> Tensor:
        points = F.normalize(features @ fitted(self, "map"), dim=1)
        return gaussian(points, fitted(self, "points"), fitted(self, "scale")) @ fitted(self, "coefficients")


class _Scores(nn.Module):
    """Answers with what it is given."""

    weighs: ClassVar[bool] = True

    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Self:
        """Learn nothing."""
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features


def gaussian(points: Tensor, others: Tensor, scale: Tensor) -> Tensor:
    r"""Return (N, M) :math:`\exp(-\lVert p_i - q_j \rVert^2 / (2 s^2))`."""
    squared = points.square().sum(dim=1, keepdim=True) + others.square().sum(dim=1) - 2 * points @ others.T
    found: Tensor = torch.exp(-squared.clamp_min(0) / (2 * scale.square()))
    return found


def neighbor_laplacian(points: Tensor, neighbors: int) -> Tensor:
    """Return the (N, N) normalized Laplacian of the graph that joins points of length 1 to their nearest by cosine.

    An edge has the cosine as its weight, and is there if either end has the other among its ``neighbors`` nearest.
    """
    cosines = points @ points.T
    others = cosines.clone().fill_diagonal_(-torch.inf).topk(min(neighbors, len(points) - 1), dim=1).indices
    chosen = torch.zeros_like(cosines).scatter_(1, others, 1.0)
    weights = cosines.clamp_min(0) * torch.maximum(chosen, chosen.T)
    degrees = weights.sum(dim=1)
    roots = torch.where(degrees > 0, degrees.clamp_min(torch.finfo(degrees.dtype).tiny).rsqrt(), 0.0)
    laplacian: Tensor = torch.diag((degrees > 0).to(weights)) - roots[:, None] * weights * roots
    return laplacian


def structural_risk(
    kernel: Tensor,
    codes: Tensor,
    contrasts: Tensor,
    laplacian: Tensor,
    *,
    alignment: float,
    manifold: float,
    ridge: float,
) -> Tensor:
    r"""Return alpha (N + M, C), which minimizes the regularized squared error of the N labelled points.

    .. math::

        \lVert A (Y - K \alpha) \rVert^2 + \eta \operatorname{tr}(\alpha^\top K \alpha)
        + \operatorname{tr}(\alpha^\top K (\lambda E E^\top + \rho L) K \alpha)

    Args:
        kernel: K (N + M, N + M).
        codes: Y (N, C) of the labelled points, which come first.
        contrasts: E (N + M, P).
        laplacian: L.
        alignment: lambda.
        manifold: rho.
        ridge: eta.
    """
    size, labelled = len(kernel), len(codes)
    chosen = kernel.new_zeros(size)
    chosen[:labelled] = 1
    inner = torch.diag(chosen) + alignment * contrasts @ contrasts.T + manifold * laplacian
    wanted = torch.cat([codes, codes.new_zeros(size - labelled, codes.shape[1])])
    system = inner @ kernel + ridge * torch.eye(size).to(kernel)
    solution: Tensor = torch.linalg.solve(system, wanted)
    return solution
