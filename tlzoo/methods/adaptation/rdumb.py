"""RDumb: return to the source model at regular intervals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_counts
from tlzoo.methods.adaptation.eata import EATA
from tlzoo.paper import Paper

__all__ = ["RDumb"]


class RDumb(EATA):
    """RDumb (Press et al., NeurIPS 2023), https://arxiv.org/abs/2306.05401.

    ETA, which is EATA without its anchor, set back to the source model after every ``every`` batches: a baseline that
    no method for long streams should lose to.

    Args:
        model: the source model; copied.
        every: batches between two resets.
        lr: learning rate of SGD.
        momentum: momentum of SGD.
        margin: m, the limit of the entropy as a share of the largest.
        redundancy: largest cosine of a prediction to the running mean; None for
            :func:`~tlzoo.methods.adaptation.eata.redundancy_by_classes`.
    """

    label = "RDumb"
    paper = Paper(
        title="RDumb: A Simple Approach that Questions our Progress in Continual Test-Time Adaptation",
        authors=("Press", "Schneider", "Kümmerer", "Bethge"),
        venue="NeurIPS",
        year=2023,
        arxiv="2306.05401",
    )
    revision = 1
    variants = ({}, {"every": 1, "margin": 1.0, "redundancy": 1.0})
    batches: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int = 1000,
        lr: float = 2.5e-4,
        momentum: float = 0.9,
        margin: float = 0.4,
        redundancy: float | None = None,
    ) -> None:
        super().__init__(model, lr=lr, momentum=momentum, margin=margin, redundancy=redundancy, anchoring=0.0)
        check_counts(every=every)
        self.every = every
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def adapt(self, inputs: Any) -> Tensor:
        """Return the logits (B, C), from the source model where it is time; then learn from them."""
        if int(self.batches) == self.every:
            self.reset()
        self.batches += 1
        return super().adapt(inputs)

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.batches.zero_()
