"""Methods that train parts of the network in turn; a single loop in :mod:`tlzoo.lit` runs all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn

from tlzoo.methods.checks import check_terms
from tlzoo.methods.domain_method import DomainMethod, check_sides, own_precision
from tlzoo.types import Losses, Prediction

__all__ = ["Alternating", "Part", "Phase"]

Part = Literal["features", "head", "method"]
"""What a phase trains: backbone and bottleneck, the head, or the method's own parameters (except its head)."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One of the consecutive steps on a batch.

    Attributes:
        name: name of the phase, an argument of :meth:`Alternating.loss`.
        trains: the parts that train; the others are constant.
        repeats: number of times in a row.
    """

    name: str
    trains: tuple[Part, ...]
    repeats: int = 1


class Alternating(DomainMethod):
    """Several losses in turn on each batch (ADDA, MCD, WDGRL), for games that gradient reversal cannot play.

    Your own loop::

        for phase in method.phases(progress):
            for _ in range(phase.repeats):
                ...  # compute new predictions, with all but phase.trains frozen
                method.loss(phase.name, source, target)["loss"].backward()
                optimizer.step()

    No supervised loss is added: a phase that learns from source labels includes it. A method implements :meth:`phases`
    and :meth:`term`.

    Args:
        num_features: D.
        num_classes: C.
    """

    implements: ClassVar[str] = "term(phase, source, target)"

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """Return the phases of a step at ``progress`` in [0, 1]."""
        raise NotImplementedError

    @final
    def loss(self, phase: str, source: Prediction, target: Prediction) -> Losses:
        """Return the loss of a phase under ``"loss"``, and values worth logging.

        Args:
            phase: its name.
            source: predictions of a source batch, by :meth:`source_network`.
            target: predictions of a target batch, by the network.

        Raises:
            ValueError: a side is empty, the features have the wrong width, or the source labels are missing.
            FloatingPointError: an input or the loss is NaN or Inf; the message names it. Checked on the CPU only.
        """
        sides, inputs = check_sides(self, source=source, target=target)
        with own_precision(inputs):
            terms = self.term(phase, sides["source"], sides["target"])
        check_terms(self, terms, inputs)
        return terms

    def term(self, phase: str, source: Prediction, target: Prediction) -> Losses:
        """Return what :meth:`loss` returns, from checked sides."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def source_network(self, phase: str, network: nn.Module) -> nn.Module:
        """Return the network for the source batches of a phase, by default ``network`` itself."""
        return network
