"""KMM: source weights under which the kernel means of the domains agree."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.methods.source_weighting import SourceWeighting, median_distance
from tlzoo.paper import Paper

__all__ = ["KMM", "weights_in_bounds"]

_STEPS = 2000
_TOLERANCE = 1e-8


class KMM(SourceWeighting):
    r"""Kernel mean matching (Huang et al., NeurIPS 2006), https://doi.org/10.7551/mitpress/7503.003.0080.

    .. math::

        \min_w \; \left\lVert \frac{1}{N} \sum_i w_i \phi(x_i) - \frac{1}{M} \sum_j \phi(t_j) \right\rVert^2
        \quad \text{with} \quad 0 \le w_i \le B, \quad \left\lvert \frac{1}{N} \sum_i w_i - 1 \right\rvert \le \epsilon

    with a Gaussian kernel :math:`\exp(-\lVert x - t \rVert^2 / (2 \sigma^2))`, by accelerated projected gradient.

    Differs from the paper: the bandwidth is the median distance unless it is given; the paper chooses it for each set.

    Args:
        num_features: D.
        num_classes: C.
        bandwidth: sigma; None for the median distance between examples of both domains.
        bound: B.
        slack: epsilon; None for the paper's :math:`(\sqrt N - 1) / \sqrt N`.
        standardize: whether features are standardized by the source's mean and deviation first.
    """

    for_regression = True
    paper = Paper(
        title="Correcting Sample Selection Bias by Unlabeled Data",
        authors=("Huang", "Smola", "Gretton", "Borgwardt", "Schoelkopf"),
        venue="NeurIPS",
        year=2006,
        doi="10.7551/mitpress/7503.003.0080",
    )
    variants = ({}, {"bandwidth": 1.0, "bound": 2.0, "slack": 0.0, "standardize": False})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        bandwidth: float | None = None,
        bound: float = 1000.0,
        slack: float | None = None,
        standardize: bool = True,
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_positive(**({} if bandwidth is None else {"bandwidth": bandwidth}))
        check_at_least(1, bound=bound)
        check_at_least(0, **({} if slack is None else {"slack": slack}))
        self.bandwidth, self.bound, self.slack = bandwidth, bound, slack

    def weigh(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the weights (N,) that match the kernel means of source (N, D) and target (M, D)."""
        width = self.bandwidth or median_distance(source, target)
        kernel, towards = (torch.exp(-torch.cdist(source, side).square() / (2 * width**2)) for side in (source, target))
        slack = 1 - len(source) ** -0.5 if self.slack is None else self.slack
        pull = len(source) * towards.mean(dim=1)
        lowest, highest = (len(source) * max(1 + sign * slack, 0.0) for sign in (-1, 1))
        step = 1 / float(torch.linalg.eigvalsh(kernel)[-1])
        weights = previous = torch.ones(len(source), dtype=source.dtype)
        momentum = 1.0
        for _ in range(_STEPS):  # accelerated projected gradient (Beck & Teboulle 2009), with restarts
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = weights + (momentum - 1) / following * (weights - previous)
            found = weights_in_bounds(ahead - step * (kernel @ ahead - pull), self.bound, lowest, highest)
            if float((ahead - found) @ (found - weights)) > 0:
                following = 1.0
            change = float((found - ahead).abs().max())
            previous, weights, momentum = weights, found, following
            if change < _TOLERANCE:
                break
        return weights


def weights_in_bounds(weights: Tensor, bound: float, lowest: float, highest: float) -> Tensor:
    """Return the nearest weights (N,) between 0 and ``bound`` whose sum is between ``lowest`` and ``highest``.

    >>> weights_in_bounds(torch.tensor([2.0, 1.0, -1.0]).double(), 5.0, 0.0, 2.0).float().tolist()
    [1.5, 0.5, 0.0]
    """
    clipped = weights.clamp(0, bound)
    total = float(clipped.sum())
    if lowest <= total <= highest:
        return clipped
    aim = lowest if total < lowest else highest
    low, high = float(weights.min()) - bound, float(weights.max())  # shifts between which all are at a bound
    for _ in range(100):
        shift = (low + high) / 2
        if float((weights - shift).clamp(0, bound).sum()) > aim:
            low = shift
        else:
            high = shift
    return (weights - (low + high) / 2).clamp(0, bound)
