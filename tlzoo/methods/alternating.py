"""Methods that train parts of the network in turn: their maths is here, one loop in :mod:`tlzoo.lit` runs all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn

from tlzoo.methods.checks import check_terms
from tlzoo.methods.domain_method import DomainMethod, check_sides
from tlzoo.types import Losses, Prediction

__all__ = ["Alternating", "Part", "Phase"]

Part = Literal["features", "head", "method"]
"""What a phase trains: backbone and bottleneck, the head, the method's own parameters (a head of its own apart)."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One of the steps that follow each other on a batch.

    Attributes:
        name: what :meth:`Alternating.loss` is asked for.
        trains: the parts that move; the others are constants.
        repeats: how often in a row.
    """

    name: str
    trains: tuple[Part, ...]
    repeats: int = 1


class Alternating(DomainMethod):
    """Several losses in turn on each batch (ADDA, MCD, WDGRL), for games that gradient reversal cannot play at once.

    A loop of one's own::

        for phase in method.phases(progress):
            for _ in range(phase.repeats):
                ...  # predictions made anew, everything frozen but phase.trains
                method.loss(phase.name, source, target)["loss"].backward()
                optimizer.step()

    Nothing is added to its losses: a phase that learns from source labels says so. A method implements :meth:`phases`
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
        """Return the loss of a phase under ``"loss"``, and what is worth logging.

        Args:
            phase: its name.
            source: predictions of a source batch, by :meth:`source_network`.
            target: predictions of a target batch, by the network.

        Raises:
            ValueError: an empty side, features of another width, or no source labels.
            FloatingPointError: an input or the loss is NaN or Inf; it is named. Looked at on the CPU only.
        """
        sides, inputs = check_sides(self, source=source, target=target)
        terms = self.term(phase, sides["source"], sides["target"])
        check_terms(self, terms, inputs)
        return terms

    def term(self, phase: str, source: Prediction, target: Prediction) -> Losses:
        """Return what :meth:`loss` returns, from sides that were checked."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def source_network(self, phase: str, network: nn.Module) -> nn.Module:
        """Return the network that source batches pass through in a phase, ``network`` itself by default."""
        return network
