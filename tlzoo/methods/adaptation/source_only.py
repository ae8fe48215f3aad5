"""Training on the source only: the lower baseline of domain adaptation."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tlzoo.functional.checks import check_counts, check_shares
from tlzoo.functional.information import entropy
from tlzoo.methods.alignment import Alignment
from tlzoo.nn.open_head import OpenHead
from tlzoo.types import Context, Losses, Prediction, Sees

__all__ = ["SourceOnly"]


class SourceOnly(Alignment):
    r"""Empirical risk on the source only; it adds nothing to the supervised loss and never sees the target.

    Where the last of the C classes is "unknown" and has no source example, ``unknown`` makes it the usual baseline of
    open-set and universal adaptation: a classifier of the K = C - 1 known classes, whose answer is "unknown" where its
    entropy is above a share of the highest, :math:`\ln K`. The threshold of DANCE (Saito et al., NeurIPS 2020,
    https://arxiv.org/abs/2002.07953) is half of it.

    Args:
        num_features: D.
        num_classes: C, including "unknown" if ``unknown`` is given.
        unknown: share of the highest entropy, at most 1; None for a classifier that never says "unknown" by itself.

    Raises:
        ValueError: ``unknown`` is not in (0, 1], or there are fewer than two known classes.
    """

    for_regression = True
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})

    def __init__(self, num_features: int, num_classes: int, *, unknown: float | None = None) -> None:
        super().__init__(num_features, num_classes)
        if unknown is not None:
            check_shares(above_zero=True, unknown=unknown)
            check_counts(low=3, num_classes=num_classes)
        self.unknown = unknown

    def make_head(self) -> nn.Module | None:
        """Return a head that doubts, or None for the usual one."""
        if self.unknown is None:
            return None
        return _Head(self.num_features, self.num_classes - 1, self.unknown)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return a zero loss."""
        zero: Tensor = source.logits.new_zeros(())
        return {"loss": zero}


class _Head(OpenHead):
    """A linear classifier, unknown by its entropy."""

    def __init__(self, num_features: int, known: int, share: float) -> None:
        super().__init__()
        self.linear, self.threshold = nn.Linear(num_features, known), share * math.log(known)

    def known(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, K)."""
        logits: Tensor = self.linear(features)
        return logits

    def doubt(self, features: Tensor, known: Tensor) -> Tensor:
        """Return (B,) how far the entropy is above the threshold."""
        return entropy(known) - self.threshold
