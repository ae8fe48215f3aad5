"""M3SDA: moments of each source and the target, and of each pair of sources, are aligned."""

from __future__ import annotations

import torch

from tlzoo.functional import moment_distance
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["M3SDA"]


class M3SDA(Alignment):
    """Moment matching for multi-source domain adaptation (Peng et al., ICCV 2019), https://arxiv.org/abs/1812.01754.

    loss = weight * distance of the moments, see :func:`tlzoo.functional.moment_distance`; the sources are told apart by
    their ``domains`` (tasks such as ``google+apple->windows``). With one source the target's distance to it is left.

    Differs from the paper: one classifier of all sources instead of one each whose answers are weighed by their
    accuracy; no pairs of classifiers that disagree (M3SDA-beta). The paper prints no weight; ours is the one that the
    information score of unlabelled target inputs chose among 1, 0.1, 0.01 and 0.001 on emoji. At 1, features collapse,
    which the accuracy on the source shows.

    Args:
        num_features: D.
        num_classes: C.
        moments: K.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Moment Matching for Multi-Source Domain Adaptation",
        authors=("Peng", "Bai", "Xia", "Huang", "Saenko", "Wang"),
        venue="ICCV",
        year=2019,
        arxiv="1812.01754",
    )
    space = Space(weight=LogUniform(0.001, 1.0))
    needs = frozenset({Need.DOMAINS})
    variants = ({}, {"moments": 3})

    def __init__(self, num_features: int, num_classes: int, *, moments: int = 2, weight: float = 0.01) -> None:
        super().__init__(num_features, num_classes)
        if moments < 1:
            raise ValueError(f"{moments} moments; expected at least 1")
        self.moments, self.weight = moments, weight

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted distance of features (N, D) with ``source.domains`` (N,) and (M, D)."""
        domains = source.domains
        sources = (
            [source.features]
            if domains is None
            else [source.features[domains == domain] for domain in torch.unique(domains)]
        )
        distance = moment_distance(sources, target.features, moments=self.moments)
        return {"loss": self.weight * distance, "distance": distance.detach()}
