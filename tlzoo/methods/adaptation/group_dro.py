"""Group DRO: the source domain that is worst off counts most."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.source_risk import SourceRisk, domain_risks
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["GroupDRO"]


class GroupDRO(SourceRisk):
    r"""Distributionally robust optimization over groups (Sagawa et al., ICLR 2020), https://arxiv.org/abs/1911.08731.

    .. math:: \sum_s q_s R_s, \qquad q_s \leftarrow q_s e^{\eta R_s} / \sum_r q_r e^{\eta R_r}

    with the cross-entropies R of the source domains, and weights q that are updated before each step and kept. Domain
    generalization: the target is never seen.

    Differs from the paper: groups are domains, as in DomainBed, whose step size is the default here. A domain that a
    batch lacks keeps its weight, the weights of the others sum to 1 in that step, and a new domain has the mean weight.

    Args:
        num_features: D.
        num_classes: C.
        step: eta.
    """

    label = "Group DRO"
    paper = Paper(
        title="Distributionally Robust Neural Networks for Group Shifts",
        authors=("Sagawa", "Koh", "Hashimoto", "Liang"),
        venue="ICLR",
        year=2020,
        arxiv="1911.08731",
    )
    space = Space(step=LogUniform(1e-3, 1e-1))

    def __init__(self, num_features: int, num_classes: int, *, step: float = 0.01) -> None:
        super().__init__(num_features, num_classes)
        check_positive(step=step)
        self.step = step
        self.memory = Memory(weights=torch.ones(0))

    @property
    def transformable(self) -> bool:
        """It has a memory."""
        return False

    def risk(self, source: Prediction, rows: list[Tensor], context: Context) -> Losses:
        """Return the weighted risk; the weights follow."""
        risks = domain_risks(source, rows)
        weights = self._updated(self._places(source, rows), risks.detach())
        return {"loss": (weights * risks).sum(), "largest_weight": weights.max()}

    def _places(self, source: Prediction, rows: list[Tensor]) -> Tensor:
        """Return the numbers (S,) of the domains."""
        if source.domains is None:
            return torch.zeros(1, dtype=torch.int64, device=source.features.device)
        return torch.stack([source.domains[own[0]] for own in rows]).long()

    @torch.no_grad()
    def _updated(self, places: Tensor, risks: Tensor) -> Tensor:
        """Update the weights of the domains at ``places``; return theirs (S,), which sum to 1."""
        known = self.memory.get_buffer("weights").to(risks)
        missing = max(int(places.max()) + 1 - len(known), 0)
        usual = known.mean() if len(known) else known.new_ones(())
        known = torch.cat([known, usual.expand(missing)])
        known[places] = known[places] * torch.exp(self.step * risks)
        self.memory.weights = known / known.sum()
        own = self.memory.weights[places]
        return (own / own.sum()).detach()
