"""Alignments: a term on source and target, added to the supervised loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from torch import Tensor, nn

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.checks import check_terms
from tlzoo.methods.domain_method import DomainMethod, check_sides, own_precision
from tlzoo.types import Context, Losses, Prediction

__all__ = ["Alignment", "WeightedAlignment"]


class Alignment(DomainMethod):
    """A term that aligns source and target: domain adaptation (a statistic) and domain confusion (an adversary).

    Users call the method; a method implements :meth:`term`.

    Args:
        num_features: D, width of the features.
        num_classes: C.
    """

    implements: ClassVar[str] = "term(source, target, context)"

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(
        self,
        source: Prediction,
        target: Prediction,
        *,
        progress: float = 1.0,
        model: nn.Module | None = None,
    ) -> Losses:
        """Return the term to add to the supervised loss, under ``"loss"``, and values worth logging.

        Args:
            source: predictions of a source batch.
            target: predictions of a target batch; sizes may differ.
            progress: share of training done, in [0, 1].
            model: the network, for methods that declare ``Need.MODEL``.

        Raises:
            ValueError: a side is empty, the features have the wrong width, labels are not classes, or something that
                the method needs is missing.
            FloatingPointError: an input or the loss is NaN or Inf; the message names it. Checked on the CPU only.
        """
        sides, inputs = check_sides(self, source=source, target=target)
        with own_precision(inputs):
            terms = self.term(sides["source"], sides["target"], self._context(progress, model))
        check_terms(self, terms, inputs)
        return terms

    if TYPE_CHECKING:
        __call__ = forward

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return what :meth:`forward` returns, from checked sides.

        Args:
            source: predictions of a source batch.
            target: predictions of a target batch.
            context: progress and model.
        """
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def source_weights(self, source: Prediction) -> Tensor | None:
        """Return (B,) weights of the source cross-entropy, or None for equal ones."""
        return None


class WeightedAlignment(Alignment):
    """An alignment with a trade-off between its term and the supervised loss.

    Args:
        num_features: D, width of the features.
        num_classes: C.
        weight: trade-off of the term.
    """

    def __init__(self, num_features: int, num_classes: int, *, weight: float = 1.0) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, weight=weight)
        self.weight = weight
