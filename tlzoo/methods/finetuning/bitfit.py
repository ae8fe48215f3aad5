"""BitFit: only the biases train."""

from __future__ import annotations

from torch import nn

from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["BitFit"]


class BitFit(Strategy):
    """Bias-term fine-tuning (Ben Zaken, Goldberg & Ravfogel, ACL 2022), https://arxiv.org/abs/2106.10199.

    The biases of all layers train, including the shifts of normalization layers, and the new head; all other weights
    are frozen.
    """

    label = "BitFit"
    paper = Paper(
        title="BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
        authors=("Ben Zaken", "Goldberg", "Ravfogel"),
        venue="ACL",
        year=2022,
        arxiv="2106.10199",
    )

    def prepare(self, backbone: Backbone) -> Backbone:
        """Freeze all of ``backbone`` but its biases, in place, and return it.

        Raises:
            ValueError: no layer has a bias.
        """
        backbone.requires_grad_(False)
        biases = [parameter for layer in backbone.modules() for parameter in _biases(layer)]
        if not biases:
            raise ValueError(f"{backbone.name} has no layer with a bias to train")
        for parameter in biases:
            parameter.requires_grad_()
        return backbone


def _biases(layer: nn.Module) -> list[nn.Parameter]:
    """Return a layer's own biases; recurrent and attention layers have several (``bias_ih_l0``, ``in_proj_bias``)."""
    return [parameter for name, parameter in layer.named_parameters(recurse=False) if "bias" in name.split("_")]
