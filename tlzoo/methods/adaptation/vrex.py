"""V-REx: risks of the source domains that do not vary."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.source_risk import AnnealedPenalty
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["VREx"]


class VREx(AnnealedPenalty):
    r"""Risk extrapolation by variance (Krueger et al., ICML 2021), https://arxiv.org/abs/2003.00688.

    .. math:: \frac{1}{\max(w, 1)} \left[ \frac{1}{S} \sum_s R_s + w \, \mathrm{Var}_s(R_s) \right]

    with the cross-entropies R of the source domains in a batch. Domain generalization: the target is never seen.

    Differs from the paper: the division by w is in the authors' code alone, and makes no difference under Adam. The
    paper has no defaults for real data; these are DomainBed's, which anneals in its first 500 of 5,000 steps, and
    starts its optimizer anew afterwards.

    Args:
        num_features: D.
        num_classes: C.
        weight: w after ``anneal``; before, it is 1.
        anneal: share of training before.
    """

    label = "V-REx"
    paper = Paper(
        title="Out-of-Distribution Generalization via Risk Extrapolation (REx)",
        authors=("Krueger", "Caballero", "Jacobsen", "Zhang", "Binas", "Zhang", "Le Priol", "Courville"),
        venue="ICML",
        year=2021,
        arxiv="2003.00688",
    )
    space = Space(weight=LogUniform(0.1, 1e5))
    variants = ({}, {"anneal": 1.0})

    def __init__(self, num_features: int, num_classes: int, *, weight: float = 10.0, anneal: float = 0.1) -> None:
        super().__init__(num_features, num_classes, weight=weight, anneal=anneal)

    def penalty(self, source: Prediction, rows: list[Tensor], risks: Tensor) -> Tensor:
        """Return the variance of the risks (S,)."""
        return (risks - risks.mean()).square().mean()
