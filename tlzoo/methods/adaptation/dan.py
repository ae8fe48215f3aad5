"""DAN: multi-kernel maximum mean discrepancy between source and target features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tlzoo.functional import mmd
from tlzoo.functional.kernels import Bandwidth, Estimator, check_kernel
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["DAN"]


class DAN(Statistic):
    r"""Deep adaptation network (Long et al., ICML 2015), https://arxiv.org/abs/1502.02791.

    .. math:: w \, \mathrm{MMD}_k^2(f_s, f_t)

    with a sum k of Gaussian kernels, whose widths are multiples of the mean squared distance in the joint batch. See
    :func:`tlzoo.functional.mmd`.

    Differs from the paper: the kernels have equal weights instead of optimized ones, and only one layer (the features)
    is aligned, as in the authors' later code.

    Args:
        num_features: D.
        num_classes: C.
        scales: kernel widths as factors of the mean squared distance.
        estimator: unbiased, linear (the paper's, which needs equal batch sizes) or biased. The biased one rewards
            contracting features, by about (kernels / N)(1 - mean k), and can collapse them without batch norm.
        bandwidth: ``"mean"`` or ``"legacy"``, see :func:`tlzoo.functional.gaussian_kernel`.
        weight: trade-off of the term.

    >>> import torch
    >>> source = Prediction(features=torch.zeros(4, 2), logits=torch.zeros(4, 3))
    >>> DAN(num_features=2, num_classes=3)(source, source)["loss"].item()
    0.0
    """

    for_regression = True
    paper = Paper(
        title="Learning Transferable Features with Deep Adaptation Networks",
        authors=("Long", "Cao", "Wang", "Jordan"),
        venue="ICML",
        year=2015,
        arxiv="1502.02791",
    )
    logged = "mmd"
    space = Space(weight=LogUniform(0.1, 10.0))
    variants = (
        {},
        {"estimator": "biased"},
        {"estimator": "unbiased"},
        {"estimator": "linear"},
        {"bandwidth": "legacy"},
    )

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        scales: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
        estimator: Estimator = "unbiased",
        bandwidth: Bandwidth = "mean",
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_kernel(scales=scales, estimator=estimator, bandwidth=bandwidth)
        self.scales, self.estimator, self.bandwidth = tuple(scales), estimator, bandwidth

    @property
    def order_matters(self) -> bool:
        """The linear estimator pairs neighbors of the batch."""
        return self.estimator == "linear"

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the discrepancy of ``source.features`` (N, D) and ``target.features`` (M, D).

        Raises:
            ValueError: see :func:`tlzoo.functional.mmd`: a side has a single point (unless biased), or sizes differ
                (linear).
        """
        return mmd(
            source.features, target.features, scales=self.scales, estimator=self.estimator, bandwidth=self.bandwidth
        )
