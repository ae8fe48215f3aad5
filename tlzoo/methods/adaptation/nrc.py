"""NRC: make reciprocal neighbors in the target agree on their classes."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.target_memory import TargetMemory
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["NRC"]


class NRC(TargetMemory):
    r"""Neighborhood reciprocity clustering (Yang et al., NeurIPS 2021), https://arxiv.org/abs/2110.04202.

    .. math::

        -\frac{1}{M} \sum_i \left[ \sum_{k \in N(i)} a_{ik} \, s_k^\top p_i
        + r \sum_{k \in N(i)} \sum_{m \in N(k)} s_m^\top p_i \right] - H\left( \frac{1}{M} \sum_i p_i \right)

    with predictions p, remembered predictions s, and :math:`a_{ik} = 1` if i is also a neighbor of k, else r.

    Differs from the paper: the self-regularization with an example's own old prediction is left out, as in the authors'
    code.

    Args:
        num_features: D.
        num_classes: C.
        neighbors: number of neighbors of each example.
        expanded: number of neighbors of each neighbor.
        affinity: r, the affinity of a neighbor that is not reciprocal.
    """

    paper = Paper(
        title="Exploiting the Intrinsic Neighborhood Structure for Source-free Domain Adaptation",
        authors=("Yang", "Wang", "van de Weijer", "Herranz", "Jui"),
        venue="NeurIPS",
        year=2021,
        arxiv="2110.04202",
    )
    variants = ({"neighbors": 2, "expanded": 2}, {})

    def __init__(
        self, num_features: int, num_classes: int, *, neighbors: int = 5, expanded: int = 5, affinity: float = 0.1
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(neighbors=neighbors, expanded=expanded)
        check_at_least(0, affinity=affinity)
        self.neighbors, self.expanded, self.affinity = neighbors, expanded, affinity

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of ``target.logits`` (M, C), and store the batch.

        Raises:
            ValueError: the target has no indices, or :meth:`on_epoch` has not filled the memory.
        """
        probabilities = target.logits.softmax(dim=1)
        agreed = self._wanted(target, probabilities)
        mean = probabilities.mean(dim=0)
        diversity = -(mean * mean.clamp_min(torch.finfo(mean.dtype).tiny).log()).sum()
        agreement = (agreed * probabilities).sum(dim=1).mean()
        return {"loss": -agreement - diversity, "agreement": agreement.detach(), "diversity": diversity.detach()}

    @torch.no_grad()
    def _wanted(self, target: Prediction, probabilities: Tensor) -> Tensor:
        """Return the (M, C) weighted sums of the remembered predictions of neighbors and of their neighbors."""
        indices, features = self.remember(target, probabilities)
        near = self.memory.neighbors(indices, features, self.neighbors)  # (M, K)
        flat = near.flatten()
        further = self.memory.neighbors(flat, self.memory.features[flat], self.expanded).view(*near.shape, -1)
        reciprocal = (further == indices[:, None, None]).any(dim=2).to(probabilities)
        weights = reciprocal + self.affinity * (1 - reciprocal)
        ours = (weights[..., None] * self.memory.probabilities[near]).sum(dim=1)
        theirs = self.memory.probabilities[further].sum(dim=(1, 2))
        return ours + self.affinity * theirs
