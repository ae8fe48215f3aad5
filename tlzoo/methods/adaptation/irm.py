"""IRM: one classifier that is optimal in each source domain."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.source_risk import AnnealedPenalty
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["IRM"]


class IRM(AnnealedPenalty):
    r"""Invariant risk minimization, IRMv1 (Arjovsky et al., 2019), https://arxiv.org/abs/1907.02893.

    .. math::

        \frac{1}{\max(w, 1)} \frac{1}{S} \sum_s \left[ R_s + w \, g_s^2 \right], \qquad
        g_s = \left. \frac{\partial}{\partial a} R_s(a \, \text{logits}) \right|_{a = 1}
        = \frac{1}{N_s} \sum_i p_i^\top \text{logits}_i - \text{logits}_{i, y_i}

    on the examples of a domain in the batch. Domain generalization: the target is never seen.

    Differs from the paper: the division by w is in the authors' code alone, and makes no difference under Adam; under
    SGD, the loss runs away without it. The paper's appendix and DomainBed multiply the derivatives on two halves of a
    domain, an unbiased estimate of the square that may be negative. Defaults are DomainBed's, which anneals in its
    first 500 of 5,000 steps, and starts its optimizer anew afterwards.

    Args:
        num_features: D.
        num_classes: C.
        weight: w after ``anneal``; before, it is 1.
        anneal: share of training before.
    """

    label = "IRM"
    paper = Paper(
        title="Invariant Risk Minimization",
        authors=("Arjovsky", "Bottou", "Gulrajani", "Lopez-Paz"),
        venue="arXiv",
        year=2019,
        arxiv="1907.02893",
    )
    space = Space(weight=LogUniform(0.1, 1e5))
    variants = ({}, {"anneal": 1.0})

    def __init__(self, num_features: int, num_classes: int, *, weight: float = 100.0, anneal: float = 0.1) -> None:
        super().__init__(num_features, num_classes, weight=weight, anneal=anneal)

    def penalty(self, source: Prediction, rows: list[Tensor], risks: Tensor) -> Tensor:
        """Return the mean over domains of the squared derivatives."""
        assert source.labels is not None
        expected = (source.logits.softmax(dim=1) * source.logits).sum(dim=1)
        slopes = expected - source.logits.gather(1, source.labels[:, None]).squeeze(1)
        return torch.stack([slopes[own].mean() for own in rows]).square().mean()
