"""LoRA: low-rank updates of frozen weights, through peft."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.methods.adapters import AdapterStrategy
from tlzoo.paper import Paper

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["LoRA"]


class LoRA(AdapterStrategy):
    r"""Low-rank adaptation (Hu et al., ICLR 2022), https://arxiv.org/abs/2106.09685.

    .. math:: W x \mapsto W x + \frac{\alpha}{r} B A x

    with W frozen and B starting at zero, for every linear layer and every ungrouped convolution.

    Args:
        rank: r, the inner width of the update.
        alpha: scale of the update.
        dropout: dropout rate on the input of the update.
    """

    paper = Paper(
        title="LoRA: Low-Rank Adaptation of Large Language Models",
        authors=("Hu", "Shen", "Wallis", "Allen-Zhu", "Li", "Wang", "Wang", "Chen"),
        venue="ICLR",
        year=2022,
        arxiv="2106.09685",
    )
    prefix = "lora_"
    directed: ClassVar[bool] = False

    def __init__(self, *, rank: int = 8, alpha: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        check_counts(rank=rank)
        check_positive(alpha=alpha)
        check_shares(dropout=dropout)
        self.rank, self.alpha, self.dropout = rank, alpha, dropout

    def config(self, pattern: str) -> PeftConfig:
        """Return peft's configuration."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=pattern,
            use_dora=self.directed,
        )
