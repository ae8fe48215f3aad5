"""Surgical fine-tuning: one part of the network trains, chosen by the kind of shift."""

from __future__ import annotations

from typing import Literal

from tlzoo.functional.checks import check_choice
from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["Surgical"]

Part = Literal["first", "middle", "last"]


class Surgical(Strategy):
    """Surgical fine-tuning (Lee et al., ICLR 2023), https://arxiv.org/abs/2210.11466.

    One group of layers trains, with the new head: the first after a shift of the inputs (corruption, style), a middle
    one after a shift of features (subpopulations), the last after a shift of the outputs.

    Differs from the paper: its head is that of the source model and stays frozen unless it is what trains; here the
    head is new. The variants that choose layers by their gradients (Auto-RGN, Auto-SNR) are left out.

    Args:
        part: the group of layers to train.
    """

    label = "surgical"
    paper = Paper(
        title="Surgical Fine-Tuning Improves Adaptation to Distribution Shifts",
        authors=("Lee", "Chen", "Tajwar", "Kumar", "Yao", "Liang", "Finn"),
        venue="ICLR",
        year=2023,
        arxiv="2210.11466",
    )
    variants = ({}, {"part": "last"})

    def __init__(self, *, part: Part = "first") -> None:
        super().__init__()
        check_choice(part, ("first", "middle", "last"), what="part")
        self.part = part

    def prepare(self, backbone: Backbone) -> Backbone:
        """Freeze all of ``backbone`` but one group of layers, in place, and return it.

        Raises:
            ValueError: the network has no layers.
        """
        groups = [group for group in backbone.layer_groups() if any(list(m.parameters()) for m in group.modules)]
        if not groups:
            raise ValueError(f"{backbone.name} has no group of layers to train")
        place = {"first": 0, "middle": (len(groups) - 1) // 2, "last": len(groups) - 1}[self.part]
        backbone.requires_grad_(False)
        for module in groups[place].modules:
            module.requires_grad_()
        return backbone
