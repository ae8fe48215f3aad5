"""LoRA: low-rank updates of frozen weights, through peft."""

from __future__ import annotations

import re

from torch import nn

from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["LoRA"]


class LoRA(Strategy):
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

    def __init__(self, *, rank: int = 8, alpha: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        check_counts(rank=rank)
        check_positive(alpha=alpha)
        check_shares(dropout=dropout)
        self.rank, self.alpha, self.dropout = rank, alpha, dropout

    def prepare(self, backbone: Backbone) -> Backbone:
        """Add adapters to ``backbone`` in place, freeze everything else, and return it.

        Raises:
            ValueError: no layer can carry an adapter.
        """
        from peft import LoraConfig, inject_adapter_in_model  # imports transformers: seconds, only where used

        names = [
            name
            for name, module in backbone.named_modules()
            if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        ]
        if not names:
            raise ValueError(f"{backbone.name} has no linear layer and no ungrouped convolution to adapt")
        # a pattern matches whole names; a list of names would also match the ends of other names
        pattern = "|".join(map(re.escape, names))
        config = LoraConfig(r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=pattern)
        inject_adapter_in_model(config, backbone)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_("lora_" in name)
        return backbone
