"""Training on the labelled target: an oracle that bounds what adaptation can reach."""

from __future__ import annotations

from torch.nn import functional as F

from tlzoo.methods.alignment import Alignment
from tlzoo.methods.checks import required
from tlzoo.methods.domain_method import are_values
from tlzoo.types import Context, Losses, Prediction, Sees

__all__ = ["TargetOnly"]


class TargetOnly(Alignment):
    """Cross-entropy on the labelled target training set; it sees all target labels, so tables show it apart.

    In a regression, the squared error.

    Args:
        num_features: D.
        num_classes: C.
    """

    for_regression = True
    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the cross-entropy of ``target.logits`` (B, C) and ``target.labels`` (B,), or the mean squared error.

        Raises:
            ValueError: the target has no labels.
        """
        labels = required(self, target.labels, "target.labels")
        supervised = F.mse_loss if are_values(labels) else F.cross_entropy
        return {"loss": supervised(target.logits, labels)}
