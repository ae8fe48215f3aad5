"""CORAL between source domains: features with the same mean and covariance in each."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from tlzoo.functional import coral_loss
from tlzoo.functional.checks import check_at_least
from tlzoo.methods.source_risk import SourceRisk, domain_risks
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["SourceCORAL"]


class SourceCORAL(SourceRisk):
    r"""Correlation alignment between the source domains (Sun & Saenko, 2016), https://arxiv.org/abs/1607.01719.

    .. math::

        \frac{1}{S} \sum_s R_s + \frac{2 w}{S (S - 1)} \sum_{r < s}
        \frac{1}{D} \lVert \mu_r - \mu_s \rVert^2 + \frac{1}{D^2} \lVert C_r - C_s \rVert_F^2

    as domain generalization uses it: the target is never seen. With a single source nothing is aligned.

    Differs from the paper: it aligns a source with the target, see
    :class:`~tlzoo.methods.adaptation.deep_coral.DeepCORAL`. The means, the scale and the weight are DomainBed's. Of
    domains with one example in the batch only the mean is aligned.

    Args:
        num_features: D.
        num_classes: C.
        weight: w.
    """

    label = "CORAL between sources"
    paper = Paper(
        title="Deep CORAL: Correlation Alignment for Deep Domain Adaptation",
        authors=("Sun", "Saenko"),
        venue="ECCV Workshops",
        year=2016,
        arxiv="1607.01719",
    )
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(self, num_features: int, num_classes: int, *, weight: float = 1.0) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, weight=weight)
        self.weight = weight

    def risk(self, source: Prediction, rows: list[Tensor], context: Context) -> Losses:
        """Return the mean risk and the mean distance of pairs of domains."""
        sides = [source.features[own] for own in rows]
        distances = [_distance(one, other) for one, other in combinations(sides, 2)]
        distance = torch.stack(distances).mean() if distances else source.features.new_zeros(())
        return {"loss": domain_risks(source, rows).mean() + self.weight * distance, "distance": distance.detach()}


def _distance(one: Tensor, other: Tensor) -> Tensor:
    if min(len(one), len(other)) < 2:
        return (one.mean(dim=0) - other.mean(dim=0)).square().mean()
    return coral_loss(one, other, normalization="domainbed")
