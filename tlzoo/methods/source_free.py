"""Methods that adapt a source model to the target without source data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, final

from torch import nn

from tlzoo.methods.checks import check_terms
from tlzoo.methods.domain_method import DomainMethod, check_sides, own_precision
from tlzoo.types import Context, Losses, Prediction, Sees

__all__ = ["SourceFree"]


class SourceFree(DomainMethod):
    """Adapts a trained source model to the unlabelled target without reading the source (SHOT, NRC, AdaBN).

    Users call :meth:`loss`; a method implements :meth:`term`, or :meth:`start` if there is nothing to train.

    Args:
        num_features: D.
        num_classes: C.

    Attributes:
        learns: whether there is a loss to train on; if not, :meth:`start` does everything.
        starts_from: registry name of the method that trains the source model.
    """

    sees = frozenset({Sees.TARGET_INPUTS})
    implements: ClassVar[str] = "term(target, context)"
    learns: ClassVar[bool] = True
    starts_from: ClassVar[str] = "adaptation/source_only"

    def prepare(self, network: nn.Module) -> None:
        """Receive the source model before an optimizer is created, for example to freeze a part of it."""

    def start(self, network: nn.Module, batches: Iterable[Any]) -> None:
        """Receive the target before training, for example to recompute statistics.

        Args:
            network: the network; it may be changed.
            batches: one pass over the raw inputs of the target, (B, ...) each.
        """

    @final
    def loss(self, target: Prediction, *, progress: float = 1.0, model: nn.Module | None = None) -> Losses:
        """Return the loss of a target batch under ``"loss"``, and values worth logging.

        Args:
            target: predictions of a target batch.
            progress: share of training done, in [0, 1].
            model: the network, for methods that declare ``Need.MODEL``.

        Raises:
            ValueError: the batch is empty, the features have the wrong width, or something that the method needs is
                missing.
            FloatingPointError: an input or the loss is NaN or Inf; the message names it. Checked on the CPU only.
        """
        sides, inputs = check_sides(self, target=target)
        with own_precision(inputs):
            terms = self.term(sides["target"], self._context(progress, model))
        check_terms(self, terms, inputs)
        return terms

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return what :meth:`loss` returns, from a checked target batch; zero by default.

        Args:
            target: predictions of a target batch.
            context: progress and model.
        """
        return {"loss": target.logits.new_zeros(())}
