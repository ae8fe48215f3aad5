"""AaD: attract neighbors in the target, and disperse the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.target_memory import TargetMemory
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["AaD"]


class AaD(TargetMemory):
    r"""Attracting and dispersing (Yang et al., NeurIPS 2022), https://arxiv.org/abs/2205.04183.

    .. math:: -\frac{1}{M} \sum_i \sum_{k \in N(i)} s_k^\top p_i
        + \alpha (1 + 10 t)^{-\beta} \frac{1}{M} \sum_i \sum_{j \ne i} p_j^\top p_i

    with predictions p of the batch, remembered predictions s of the nearest neighbors in the target, and the progress t
    of training.

    Args:
        num_features: D.
        num_classes: C.
        neighbors: number of neighbors of each example.
        dispersion: alpha.
        decay: beta; the authors' 5 is for VisDA, with 0 to 2 on smaller sets.
    """

    paper = Paper(
        title="Attracting and Dispersing: A Simple Approach for Source-free Domain Adaptation",
        authors=("Yang", "Wang", "Wang", "Jui", "van de Weijer"),
        venue="NeurIPS",
        year=2022,
        arxiv="2205.04183",
    )
    variants = ({"neighbors": 2}, {})

    def __init__(
        self, num_features: int, num_classes: int, *, neighbors: int = 5, dispersion: float = 1.0, decay: float = 5.0
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(neighbors=neighbors)
        check_at_least(0, dispersion=dispersion, decay=decay)
        self.neighbors, self.dispersion, self.decay = neighbors, dispersion, decay

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of ``target.logits`` (M, C), and store the batch.

        Raises:
            ValueError: the target has no indices, or :meth:`on_epoch` has not filled the memory.
        """
        probabilities = target.logits.softmax(dim=1)
        attracted = (self._near(target, probabilities) * probabilities).sum(dim=1).mean()
        mean = probabilities.sum(dim=0)
        alike = (mean.square().sum() - probabilities.square().sum()) / len(target)
        weight = self.dispersion * (1 + 10 * context.progress) ** -self.decay
        return {"loss": -attracted + weight * alike, "attracted": attracted.detach(), "alike": alike.detach()}

    @torch.no_grad()
    def _near(self, target: Prediction, probabilities: Tensor) -> Tensor:
        """Return the sums (M, C) of the remembered predictions of neighbors."""
        indices, features = self.remember(target, probabilities)
        near = self.memory.neighbors(indices, features, self.neighbors)
        return self.memory.probabilities[near].sum(dim=1)
