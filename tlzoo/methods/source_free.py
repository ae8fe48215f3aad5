"""Methods that adapt a source model to the target without the source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, final

from torch import nn

from tlzoo.methods.checks import check_terms
from tlzoo.methods.domain_method import DomainMethod, check_sides
from tlzoo.types import Context, Losses, Prediction, Sees

__all__ = ["SourceFree"]


class SourceFree(DomainMethod):
    """Adapts a trained source model to the unlabelled target; the source is never opened (SHOT, NRC, AdaBN).

    Users call :meth:`loss`; a method implements :meth:`term`, or :meth:`start` where there is nothing to train.

    Args:
        num_features: D.
        num_classes: C.

    Attributes:
        learns: whether there is a loss to train on; if not, :meth:`start` does everything.
        starts_from: registry name of the method that the source model is trained by.
    """

    sees = frozenset({Sees.TARGET_INPUTS})
    implements: ClassVar[str] = "term(target, context)"
    learns: ClassVar[bool] = True
    starts_from: ClassVar[str] = "adaptation/source_only"

    def prepare(self, network: nn.Module) -> None:
        """Take in the source model as soon as it is known: freeze a part of it, before an optimizer is made."""

    def start(self, network: nn.Module, batches: Iterable[Any]) -> None:
        """Take in the target before training: recompute statistics.

        Args:
            network: it may be changed.
            batches: one pass over the raw inputs of the target, (B, ...) each.
        """

    @final
    def loss(self, target: Prediction, *, progress: float = 1.0, model: nn.Module | None = None) -> Losses:
        """Return the loss of a target batch under ``"loss"``, and what is worth logging.

        Args:
            target: predictions of a target batch.
            progress: share of training done, in [0, 1].
            model: the network, for methods that declare ``Need.MODEL``.

        Raises:
            ValueError: an empty batch, features of another width, or something missing that the method needs.
            FloatingPointError: an input or the loss is NaN or Inf; it is named. Looked at on the CPU only.
        """
        sides, inputs = check_sides(self, target=target)
        terms = self.term(sides["target"], self._context(progress, model))
        check_terms(self, terms, inputs)
        return terms

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return what :meth:`loss` returns, from a target batch that was checked; zero by default.

        Args:
            target: predictions of a target batch.
            context: progress and model.
        """
        return {"loss": target.logits.new_zeros(())}
