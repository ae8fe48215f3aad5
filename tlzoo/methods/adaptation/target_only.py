"""Training on the labelled target: an oracle that bounds what adaptation can reach."""

from __future__ import annotations

from torch.nn import functional as F

from tlzoo.methods.alignment import Alignment
from tlzoo.methods.checks import required
from tlzoo.types import Context, Losses, Prediction, Sees

__all__ = ["TargetOnly"]


class TargetOnly(Alignment):
    """Cross-entropy on the labelled target training set; it sees all target labels, so tables show it apart.

    Args:
        num_features: D.
        num_classes: C.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the cross-entropy of ``target.logits`` (B, C) and ``target.labels`` (B,).

        Raises:
            ValueError: the target has no labels.
        """
        labels = required(self, target.labels, "target.labels")
        return {"loss": F.cross_entropy(target.logits, labels)}
