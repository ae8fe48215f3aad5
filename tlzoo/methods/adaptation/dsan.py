"""DSAN: maximum mean discrepancy within each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from torch.nn import functional as F

from tlzoo.functional import local_mmd, reversal_coefficient
from tlzoo.functional.checks import check_choice
from tlzoo.functional.kernels import Bandwidth
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.methods.checks import required
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["DSAN"]


class DSAN(WeightedAlignment):
    r"""Deep subdomain adaptation network (Zhu et al., TNNLS 2021), https://arxiv.org/abs/2106.09388.

    .. math:: w \, \lambda(p) \, \mathrm{LMMD}^2(f_s, f_t), \qquad \lambda(p) = \frac{2}{1 + e^{-10 p}} - 1

    LMMD averages the biased discrepancy over classes, with examples weighted by their membership in the class: the
    source by label, the target by prediction. See :func:`tlzoo.functional.local_mmd`. The factor grows with training
    progress p.

    Differs from the paper: as in the authors' code, the factor is scheduled and the weight is 0.5. Unlike in that code,
    every class with a source example counts, even if no target example is predicted to belong to it.

    Args:
        num_features: D.
        num_classes: C.
        scales: kernel widths as factors of the mean squared distance.
        bandwidth: see :func:`tlzoo.functional.gaussian_kernel`.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Deep Subdomain Adaptation Network for Image Classification",
        authors=("Zhu", "Zhuang", "Wang", "Ke", "Chen", "Bian", "Xiong", "He"),
        venue="TNNLS",
        year=2021,
        arxiv="2106.09388",
    )
    space = Space(weight=LogUniform(0.05, 5.0))
    variants = ({}, {"bandwidth": "mean"})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        scales: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
        bandwidth: Bandwidth = "legacy",
        weight: float = 0.5,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_choice(bandwidth, get_args(Bandwidth), what="bandwidth")
        self.scales, self.bandwidth = tuple(scales), bandwidth

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted discrepancy of features (N, D), (M, D), given source labels and ``target.logits`` (M, C).

        Raises:
            ValueError: the source has no labels.
        """
        labels = required(self, source.labels, "source.labels")
        discrepancy = local_mmd(
            source.features,
            target.features,
            F.one_hot(labels, self.num_classes).to(source.features),
            target.logits.softmax(dim=1),
            scales=self.scales,
            bandwidth=self.bandwidth,
        )
        coefficient = self.weight * reversal_coefficient(context.progress)
        return {"loss": coefficient * discrepancy, "local_mmd": discrepancy.detach()}
