"""PT-MAP: assign queries to classes by optimal transport."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import memberships, negative_squared_distances, prototypes
from tlzoo.functional.checks import check_choice, check_counts, check_positive, check_shares
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["PTMAP"]


class PTMAP(EpisodeClassifier):
    r"""PT-MAP (Hu, Gripon & Pateux, ICANN 2021), https://arxiv.org/abs/2006.03806.

    Features are raised to a power and normalized. Support and queries are centered separately and normalized again.
    Then two steps alternate: entropic optimal transport of squared distances (Sinkhorn) assigns queries to classes,

    .. math:: \min_P \; \langle P, d^2 \rangle - \tfrac{1}{\lambda} H(P),

    and class means move a share of the way to the means of the support and the assigned queries. The logits are the
    logarithms of the last assignment. Transductive.

    Args:
        power: power of the features, which should not be negative; negative values count as zero.
        queries: ``"balanced"``: each class has the same number of queries, as the paper assumes; ``"unbalanced"``: no
            such assumption, and a softmax assigns each query.
        strength: lambda, weight of the distances in the transport.
        rate: the share of the way (alpha in the paper).
        steps: rounds of assignment and movement.
        iterations: Sinkhorn iterations per round.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> PTMAP()(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "PT-MAP"
    paper = Paper(
        title="Leveraging the Feature Distribution in Transfer-based Few-Shot Learning",
        authors=("Hu", "Gripon", "Pateux"),
        venue="ICANN",
        year=2021,
        arxiv="2006.03806",
    )
    sees = EpisodeClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({}, {"queries": "unbalanced"})
    rotation_invariant = True

    def __init__(
        self,
        *,
        power: float = 0.5,
        queries: Literal["balanced", "unbalanced"] = "balanced",
        strength: float = 10.0,
        rate: float = 0.2,
        steps: int = 20,
        iterations: int = 30,
    ) -> None:
        super().__init__()
        check_positive(power=power, strength=strength)
        check_shares(above_zero=True, rate=rate)
        check_counts(steps=steps, iterations=iterations)
        check_choice(queries, ("balanced", "unbalanced"), what="queries")
        self.power, self.queries, self.strength, self.rate = power, queries, strength, rate
        self.steps, self.iterations = steps, iterations

    def transform(self, features: Tensor) -> Tensor:
        """Return features (..., D) raised to the power and normalized."""
        return F.normalize((features.relu() + 1e-6) ** self.power, dim=-1)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        support, query = _centred(support), _centred(query)
        members = memberships(support_labels, way, dtype=support.dtype)
        centers = prototypes(support, support_labels, way)
        for _ in range(self.steps):
            assigned = torch.cat([members, self._assignment(query, centers).exp()], dim=1)
            means = assigned.transpose(1, 2) @ torch.cat([support, query], dim=1)
            centers = centers + self.rate * (means / assigned.sum(dim=1).unsqueeze(2) - centers)
        return self._assignment(query, centers)

    def _assignment(self, query: Tensor, centers: Tensor) -> Tensor:
        """Return the logarithms (E, Q, way) of each query's class shares."""
        logits = self.strength * negative_squared_distances(query, centers)
        if self.queries == "unbalanced":
            return logits.log_softmax(dim=-1)
        plan = logits.softmax(dim=-1)
        share = query.shape[1] / centers.shape[1]
        rows = torch.ones_like(plan[..., :1])
        for _ in range(self.iterations):
            columns = share / (plan.transpose(1, 2) @ rows).clamp_min(_TINY)
            rows = 1 / (plan @ columns).clamp_min(_TINY)
        return logits.log_softmax(dim=-1) + rows.log() + columns.transpose(1, 2).log()


_TINY = 1e-30


def _centred(features: Tensor) -> Tensor:
    """Center the items (E, N, D) and normalize them; a single item stays unchanged."""
    if features.shape[1] > 1:
        features = features - features.mean(dim=1, keepdim=True)
    return F.normalize(features, dim=-1)
