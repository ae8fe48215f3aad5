"""VeRA: trained scales of frozen random projections that all layers share, through peft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.methods.adapters import AdapterStrategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["VeRA"]


class VeRA(AdapterStrategy):
    r"""Vector-based random matrix adaptation (Kopiczko, Blankevoort & Asano, ICLR 2024), https://arxiv.org/abs/2310.11454.

    .. math:: W x \mapsto W x + \mathrm{diag}(b) B \, \mathrm{diag}(d) A x

    for every linear layer, with frozen random A and B that all layers share, b starting at zero, and d at a constant.

    Args:
        rank: r, the inner width of the projections.
        start: initial value of d.
        dropout: dropout rate on the input of the update.
    """

    paper = Paper(
        title="VeRA: Vector-based Random Matrix Adaptation",
        authors=("Kopiczko", "Blankevoort", "Asano"),
        venue="ICLR",
        year=2024,
        arxiv="2310.11454",
    )
    prefix = "vera_lambda"
    adapts = (nn.Linear,)

    def __init__(self, *, rank: int = 256, start: float = 0.1, dropout: float = 0.0) -> None:
        super().__init__()
        check_counts(rank=rank)
        check_positive(start=start)
        check_shares(dropout=dropout)
        self.rank, self.start, self.dropout = rank, start, dropout

    def config(self, pattern: str) -> PeftConfig:
        """Return peft's configuration."""
        from peft import VeraConfig

        return VeraConfig(r=self.rank, d_initial=self.start, vera_dropout=self.dropout, target_modules=pattern)

    def insert(self, config: PeftConfig, backbone: Backbone) -> None:
        """Add the adapters to ``backbone`` in place, with one pair of projections."""
        from peft import get_peft_model

        get_peft_model(backbone, config)
