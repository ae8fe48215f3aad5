"""Training on the source only: the lower baseline of domain adaptation."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.alignment import Alignment
from tlzoo.types import Context, Losses, Prediction, Sees

__all__ = ["SourceOnly"]


class SourceOnly(Alignment):
    """Empirical risk on the source only; it adds nothing to the supervised loss and never sees the target.

    Args:
        num_features: D.
        num_classes: C.
    """

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return a zero loss."""
        zero: Tensor = source.logits.new_zeros(())
        return {"loss": zero}
