"""Train on the labelled target: what adaptation could reach, an oracle."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from tlzoo.methods.base import Alignment
from tlzoo.types import Losses, Prediction, Sees

__all__ = ["TargetOnly"]


class TargetOnly(Alignment):
    """Cross-entropy of the labelled target training set; sees all target labels, so it stands apart in tables.

    Args:
        num_features: D.
        num_classes: C.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def forward(
        self,
        source: Prediction,
        target: Prediction,
        *,
        progress: float = 1.0,
        model: nn.Module | None = None,
    ) -> Losses:
        """Return the cross-entropy of ``target.logits`` (B, C) and ``target.labels`` (B,).

        Raises:
            ValueError: the target has no labels.
        """
        if target.labels is None:
            raise ValueError("target_only wants target labels and got None; give it a labelled target set")
        return {"loss": F.cross_entropy(target.logits, target.labels)}
