"""PADDLE: as few of the classes as explain the queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Sees

__all__ = ["PADDLE"]


class PADDLE(FeatureClassifier):
    r"""Partially assigned description length (Martin et al., NeurIPS 2022), https://arxiv.org/abs/2210.14545.

    Alternates between the assignments u of the queries, a vector v and the class means w,

    .. math:: u_q = \mathrm{softmax}\left(-\tfrac12 \lVert x_q - w \rVert^2 + \tfrac{\lambda}{|Q|} v\right), \quad
        v = \ln\left(\tfrac{1}{|Q|} \sum_q u_q\right) + 1,

    and w the mean of support and assigned queries. The term in v empties classes that few queries have: queries may be
    of some of the classes only. Each feature is scaled by the queries first, to a range of 1, as in the authors' code.

    Differs from the paper: features are centered and normalized before, by default, as by other methods here.

    Args:
        num_features: D.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        weight: lambda over the number of queries |Q|; 1 in the paper.
        rounds: number of alternations.
    """

    paper = Paper(
        title="Towards Practical Few-Shot Query Sets: Transductive Minimum Description Length Inference",
        authors=("Martin", "Boudiaf", "Chouzenoux", "Pesquet", "Ben Ayed"),
        venue="NeurIPS",
        year=2022,
        arxiv="2210.14545",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"transform": "UN", "weight": 0.2, "rounds": 3})
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        weight: float = 1.0,
        rounds: int = 100,
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
        check_at_least(0, weight=weight)
        check_counts(rounds=rounds)
        self.weight, self.rounds = weight, rounds

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        spread = query.amax(dim=1, keepdim=True) - query.amin(dim=1, keepdim=True)
        scale = 1 / torch.where(spread > 0, spread, torch.ones_like(spread))
        support, query = support * scale, query * scale
        known = F.one_hot(support_labels, way).to(support)
        centers = known.mT @ support / known.sum(dim=1).unsqueeze(-1)
        dual = torch.zeros_like(known[:, :1])
        logits = torch.empty(0)
        for _ in range(self.rounds):
            distances = -torch.cdist(query, centers, compute_mode="donot_use_mm_for_euclid_dist").square() / 2
            logits = distances + self.weight * dual
            assigned = logits.softmax(dim=-1)
            dual = (assigned.mean(dim=1, keepdim=True) + 1e-6).log() + 1
            members = assigned.sum(dim=1) + known.sum(dim=1)
            centers = (assigned.mT @ query + known.mT @ support) / members.unsqueeze(-1)
        return logits
