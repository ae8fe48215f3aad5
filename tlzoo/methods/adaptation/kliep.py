"""KLIEP: source weights under which the source is as likely as the target, as a mixture of kernels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.source_weighting import SourceWeighting, median_distance
from tlzoo.paper import Paper

__all__ = ["KLIEP", "fit_ratio"]

_STEPS = 500
_TOLERANCE = 1e-6
_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Candidates of the bandwidth, as multiples of the median distance."""


class KLIEP(SourceWeighting):
    r"""Kullback-Leibler importance estimation (Sugiyama et al., 2008), https://doi.org/10.1007/s10463-008-0197-x.

    .. math::

        \max_{\alpha \ge 0} \; \sum_j \log w(t_j) \quad \text{with} \quad \frac{1}{N} \sum_i w(x_i) = 1, \qquad
        w(x) = \sum_l \alpha_l \exp\left( -\frac{\lVert x - c_l \rVert^2}{2 \sigma^2} \right)

    with centers c among the target. Without a given bandwidth, the one with the largest likelihood of held-out target
    examples is taken.

    Differs from the paper: the weights of a mixture are found by expectation maximization, which reaches the same
    optimum of this concave problem without the step size of the paper's gradient ascent. Bandwidths are tried at
    multiples of the median distance.

    Args:
        num_features: D.
        num_classes: C.
        bandwidth: sigma; None for the best in cross-validation.
        centers: largest number of centers.
        folds: of the cross-validation.
        standardize: whether features are standardized by the source's mean and deviation first.
    """

    for_regression = True
    paper = Paper(
        title="Direct Importance Estimation for Covariate Shift Adaptation",
        authors=("Sugiyama", "Suzuki", "Nakajima", "Kashima", "von Buenau", "Kawanabe"),
        venue="Annals of the Institute of Statistical Mathematics",
        year=2008,
        doi="10.1007/s10463-008-0197-x",
    )
    variants = ({}, {"bandwidth": 2.0, "centers": 5, "standardize": False})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        bandwidth: float | None = None,
        centers: int = 100,
        folds: int = 5,
        standardize: bool = True,
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_positive(**({} if bandwidth is None else {"bandwidth": bandwidth}))
        check_counts(centers=centers)
        check_counts(low=2, folds=folds)
        self.bandwidth, self.centers, self.folds = bandwidth, centers, folds

    @property
    def order_matters(self) -> bool:
        """Centers and folds are drawn from a fixed seed, by place."""
        return True

    def weigh(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the weights (N,) of source (N, D) given target (M, D)."""
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(target)))
        centers = target[order[: self.centers]]
        near = torch.cdist(source, centers).square()
        far = torch.cdist(target, centers).square()
        width = self.bandwidth or self._best_width(near, far, order, median_distance(source, target))
        return _kernel(near, width) @ fit_ratio(_kernel(near, width), _kernel(far, width))

    def _best_width(self, near: Tensor, far: Tensor, order: Tensor, median: float) -> float:
        """Return the bandwidth with the largest mean log-ratio on held-out target examples."""
        if len(far) < 2:
            return median
        count = min(self.folds, len(far))
        folds = torch.arange(len(far)) % count
        scores = []
        for scale in _WIDTHS:
            ours, theirs = _kernel(near, scale * median), _kernel(far[order], scale * median)
            held_out = [
                (theirs[folds == fold] @ fit_ratio(ours, theirs[folds != fold], steps=50)).log().mean()
                for fold in range(count)
            ]
            scores.append(float(torch.stack(held_out).mean()))
        return median * _WIDTHS[int(np.argmax(scores))]


def _kernel(squares: Tensor, width: float) -> Tensor:
    """Return the Gaussian kernel; the smallest number in place of 0, whose logarithm is finite."""
    return torch.exp(-squares / (2 * width**2)).clamp_min(torch.finfo(squares.dtype).tiny)


def fit_ratio(source: Tensor, target: Tensor, *, steps: int = _STEPS) -> Tensor:
    r"""Return the coefficients (L,) of kernels, given their values at source (N, L) and target (M, L).

    The shares :math:`\alpha_l \frac{1}{N} \sum_i k_l(x_i)` of the kernels are the weights of a mixture.
    """
    levels = source.mean(dim=0)
    densities = target / levels
    shares = torch.full_like(levels, 1 / len(levels))
    for _ in range(steps):
        terms = densities * shares
        found = (terms / terms.sum(dim=1, keepdim=True)).mean(dim=0)
        change = float((found - shares).abs().max())
        shares = found
        if change < _TOLERANCE:
            break
    return shares / levels
