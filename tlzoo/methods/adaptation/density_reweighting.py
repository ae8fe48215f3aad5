"""Source weights from kernel density estimates of both domains."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.source_weighting import SourceWeighting
from tlzoo.paper import Paper

__all__ = ["DensityReweighting"]


class DensityReweighting(SourceWeighting):
    r"""Ratio of kernel densities (Sugiyama & Mueller, 2005), https://doi.org/10.1524/stnd.2005.23.4.249.

    .. math:: w_i = \frac{\hat p_t(x_i)}{\hat p_s(x_i)}, \qquad
        \hat p(x) = \frac{1}{n} \sum_k \mathcal{N}(x \mid x_k, h^2 I)

    computed in logarithms. In hundreds of dimensions, one or two examples get nearly all the weight. KMM, KLIEP and
    discriminators were made because of this: they estimate the ratio without the densities.

    Differs from the paper: the bandwidth is Scott's, :math:`n^{-1 / (D + 4)}` on standardized features.

    Args:
        num_features: D.
        num_classes: C.
        bandwidth: h; None for Scott's, of each domain.
        standardize: whether features are standardized by the source's mean and deviation first.
    """

    label = "density reweighting"
    for_regression = True
    paper = Paper(
        title="Input-Dependent Estimation of Generalization Error under Covariate Shift",
        authors=("Sugiyama", "Mueller"),
        venue="Statistics & Decisions",
        year=2005,
        doi="10.1524/stnd.2005.23.4.249",
    )
    variants = ({}, {"bandwidth": 1.0, "standardize": False})

    def __init__(
        self, num_features: int, num_classes: int, *, bandwidth: float | None = None, standardize: bool = True
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_positive(**({} if bandwidth is None else {"bandwidth": bandwidth}))
        self.bandwidth = bandwidth

    def weigh(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the ratio of densities (N,) of source (N, D) given target (M, D), divided by the largest."""
        ratio = self._log_density(source, target) - self._log_density(source, source)
        return (ratio - ratio.max()).exp()

    def _log_density(self, points: Tensor, sample: Tensor) -> Tensor:
        width = self.bandwidth or len(sample) ** (-1 / (sample.shape[1] + 4))
        squares = torch.cdist(points, sample).square()
        return (-squares / (2 * width**2)).logsumexp(dim=1) - math.log(len(sample)) - sample.shape[1] * math.log(width)
