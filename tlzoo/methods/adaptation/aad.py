"""AaD: attract neighbors in the target, and disperse the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.checks import required
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.memory_bank import MemoryBank
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["AaD"]


class AaD(SourceFree):
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
    needs = frozenset({Need.INDICES})
    variants = ({"neighbors": 2}, {})

    def __init__(
        self, num_features: int, num_classes: int, *, neighbors: int = 5, dispersion: float = 1.0, decay: float = 5.0
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(neighbors=neighbors)
        check_at_least(0, dispersion=dispersion, decay=decay)
        self.neighbors, self.dispersion, self.decay = neighbors, dispersion, decay
        self.memory = MemoryBank(num_features, num_classes)

    @property
    def transformable(self) -> bool:
        """It has a memory."""
        return False

    def on_epoch(self, target: Prediction) -> None:
        """Fill the memory with the whole target, once."""
        if not len(self.memory):
            logits = at_least_float32(target.logits)
            self.memory.fill(F.normalize(target.features, dim=1), logits.softmax(dim=1), target.indices)

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
        indices = required(self, target.indices, "target.indices")
        features = F.normalize(target.features, dim=1)
        self.memory.update(indices, features, probabilities)
        near = self.memory.neighbors(indices, features, self.neighbors)
        return self.memory.probabilities[near].sum(dim=1)
