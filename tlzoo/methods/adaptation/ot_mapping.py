"""Optimal transport of the source's examples onto the target's, one by one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_choice, check_pair, check_positive
from tlzoo.functional.transport import regularized_plan
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["OTMapping"]

Plan = Literal["exact", "entropic", "class"]


class OTMapping(FeatureTransform):
    r"""Optimal transport for domain adaptation (Courty et al., TPAMI 2017), https://arxiv.org/abs/1507.00504.

    Every source example moves to the mean of the target examples that the plan couples it with:

    .. math:: x_i \mapsto N \sum_j \gamma_{ij} t_j, \qquad
        \gamma = \arg\min \; \langle \gamma, C \rangle - \epsilon H(\gamma) + \eta \sum_j \sum_c
        \lVert \gamma_{I_c, j} \rVert_1^{1/2}

    with squared distances C divided by their median and uniform masses. The last term, of the plan ``"class"``, lets a
    target example receive from few classes only. POT solves all three plans. Other source examples move as the nearest
    one of the fit does.

    Differs from the paper: epsilon and eta are settings, the paper chooses them on target labels.

    Args:
        num_features: D.
        num_classes: C.
        plan: ``"exact"``, ``"entropic"`` or ``"class"``.
        entropy: epsilon.
        class_penalty: eta.
        standardize: whether each domain is standardized first.

    >>> source = torch.tensor([[0.0], [1.0]])
    >>> OTMapping(1, 2, plan="exact", standardize=False).fit(source, source + 5).transform_source(source).tolist()
    [[5.0], [6.0]]
    """

    label = "OT mapping"
    for_regression = True
    paper = Paper(
        title="Optimal Transport for Domain Adaptation",
        authors=("Courty", "Flamary", "Tuia", "Rakotomamonjy"),
        venue="TPAMI",
        year=2017,
        arxiv="1507.00504",
    )
    space = Space(entropy=LogUniform(0.01, 1.0), class_penalty=LogUniform(0.01, 10.0))
    variants = ({}, {"plan": "exact"}, {"plan": "class", "standardize": False})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        plan: Plan = "entropic",
        entropy: float = 0.1,
        class_penalty: float = 0.1,
        standardize: bool = True,
    ) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_choice(plan, ("exact", "entropic", "class"), what="plan")
        check_positive(entropy=entropy)
        check_at_least(0, class_penalty=class_penalty)
        self.plan, self.entropy, self.class_penalty = plan, entropy, class_penalty
        self.supervised = plan == "class"
        self.reserve("anchors", 1, num_features)
        self.reserve("images", 1, num_features)

    @property
    def transformable(self) -> bool:
        """POT solves outside torch."""
        return False

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the plan from source (N, D) to target (M, D), in float64 on the CPU."""
        self._couple(source, target, None)

    def fit_maps_by_class(self, source: Tensor, labels: Tensor, target: Tensor) -> None:
        """Find the plan from source (N, D) with labels (N,) to target (M, D), in float64 on the CPU."""
        self._couple(source, target, labels)

    def _couple(self, source: Tensor, target: Tensor, labels: Tensor | None) -> None:
        check_pair(source, target)
        ours, theirs = self._remember("source", source.double()), self._remember("target", target.double())
        coupling = regularized_plan(
            ours,
            theirs,
            entropy=0.0 if self.plan == "exact" else self.entropy,
            labels=labels,
            class_penalty=self.class_penalty,
        )
        images = coupling @ theirs / coupling.sum(dim=1, keepdim=True)
        like = self.get_buffer("source_mean")
        self.anchors, self.images = ours.to(like), images.to(like)

    def map_source(self, features: Tensor) -> Tensor:
        """Move features (B, D) as the nearest source example of the fit."""
        points, anchors = self._standardized(features, "source"), fitted(self, "anchors")
        # in float64, where the rounding of the products that make this fast changes no neighbor
        nearest = torch.cdist(points.double(), anchors.double(), compute_mode="use_mm_for_euclid_dist").argmin(dim=1)
        return points + (fitted(self, "images") - anchors)[nearest]
