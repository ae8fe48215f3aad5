"""Source-free methods that compare a batch with what they remember of the whole target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.checks import required
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.memory_bank import MemoryBank
from tlzoo.types import Need, Prediction

__all__ = ["TargetMemory"]


class TargetMemory(SourceFree):
    """Base of methods with a memory of normalized features and predictions, one entry per target example.

    Args:
        num_features: D.
        num_classes: C.
    """

    needs = frozenset({Need.INDICES})

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes)
        self.memory = MemoryBank(num_features, num_classes)

    @property
    def transformable(self) -> bool:
        """It has a memory."""
        return False

    def on_epoch(self, target: Prediction) -> None:
        """Fill the memory with the whole target, once."""
        if not len(self.memory):
            logits = at_least_float32(target.logits)
            self.memory.fill(
                F.normalize(at_least_float32(target.features), dim=1), logits.softmax(dim=1), target.indices
            )

    @torch.no_grad()
    def remember(self, target: Prediction, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Store a batch and its probabilities (M, C); return its indices (M,) and normalized features (M, D).

        Raises:
            ValueError: the target has no indices, or :meth:`on_epoch` has not filled the memory.
        """
        indices = required(self, target.indices, "target.indices")
        features = F.normalize(target.features, dim=1)
        self.memory.update(indices, features, probabilities)
        return indices, features
