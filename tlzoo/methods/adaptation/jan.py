"""JAN: joint maximum mean discrepancy of features and predictions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tlzoo.functional import joint_mmd
from tlzoo.functional.checks import check_positive
from tlzoo.functional.kernels import Bandwidth, Estimator
from tlzoo.methods.adaptation.dan import DAN
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["JAN"]


class JAN(DAN):
    r"""Joint adaptation network (Long et al., ICML 2017), https://arxiv.org/abs/1605.06636.

    .. math:: w \, \mathrm{JMMD}^2\left((f_s, p_s), (f_t, p_t)\right)

    with the softmax predictions p and a product of kernels, see :func:`tlzoo.functional.joint_mmd`.

    Differs from the paper: the default estimator is unbiased instead of linear, so batch sizes may differ.

    Args:
        num_features: D.
        num_classes: C.
        scales: widths of the kernels on features, as factors of the mean squared distance.
        width: width of the kernel on predictions, as in the authors' code.
        estimator: unbiased, biased, or linear, which needs equal batch sizes.
        bandwidth: ``"mean"`` or ``"legacy"``, see :func:`tlzoo.functional.gaussian_kernel`.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Deep Transfer Learning with Joint Adaptation Networks",
        authors=("Long", "Zhu", "Wang", "Jordan"),
        venue="ICML",
        year=2017,
        arxiv="1605.06636",
    )
    for_regression = False  # aligns probabilities, too
    logged = "joint_mmd"
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        scales: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
        width: float = 0.92,
        estimator: Estimator = "unbiased",
        bandwidth: Bandwidth = "mean",
        weight: float = 1.0,
    ) -> None:
        super().__init__(
            num_features, num_classes, scales=scales, estimator=estimator, bandwidth=bandwidth, weight=weight
        )
        check_positive(width=width)
        self.width = width

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the discrepancy of features (N, D), (M, D) and logits (N, C), (M, C).

        Raises:
            ValueError: see :func:`tlzoo.functional.mmd`: a side has a single point (unless biased), or sizes differ
                (linear).
        """
        return joint_mmd(
            source.features,
            target.features,
            source.logits.softmax(dim=1),
            target.logits.softmax(dim=1),
            scales=self.scales,
            width=self.width,
            estimator=self.estimator,
            bandwidth=self.bandwidth,
        )
