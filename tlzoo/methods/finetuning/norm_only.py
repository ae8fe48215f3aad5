"""Norm-only: the scales and shifts of normalization layers train."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlzoo.methods.strategy import Strategy
from tlzoo.nn.normalization import normalization_layers
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["NormOnly"]


class NormOnly(Strategy):
    """Training only normalization (Frankle, Schwab & Morcos, ICLR 2021), https://arxiv.org/abs/2003.00152.

    The scales and shifts of batch, layer and group normalization train, and the new head; all other weights are frozen.
    Batch normalization goes on to gather statistics, because its layers train.

    Differs from the paper: it trains the scales and shifts of a random network; here the network is pretrained.
    """

    label = "norm only"
    paper = Paper(
        title="Training BatchNorm and Only BatchNorm: On the Expressive Power of Random Features in CNNs",
        authors=("Frankle", "Schwab", "Morcos"),
        venue="ICLR",
        year=2021,
        arxiv="2003.00152",
    )

    def prepare(self, backbone: Backbone) -> Backbone:
        """Freeze all of ``backbone`` but its normalization layers, in place, and return it.

        Raises:
            ValueError: no normalization layer has a scale or shift.
        """
        backbone.requires_grad_(False)
        layers = normalization_layers(backbone, _BatchNorm, nn.LayerNorm, nn.GroupNorm)
        parameters = [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
        if not parameters:
            raise ValueError(f"{backbone.name} has no normalization layer with a scale and shift to train")
        for parameter in parameters:
            parameter.requires_grad_()
        return backbone
