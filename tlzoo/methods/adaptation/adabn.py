"""AdaBN: batch normalization with the statistics of the target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.normalization import normalization_layers
from tlzoo.paper import Paper

__all__ = ["AdaBN"]


class AdaBN(SourceFree):
    """Adaptive batch normalization (Li et al., ICLR Workshops 2017), https://arxiv.org/abs/1603.04779.

    The running statistics of all batch normalization layers are computed anew on the whole unlabelled target, as a
    cumulative average over its batches, each seen under the statistics of that batch; weights stay as they are.

    Differs from the paper: one pass over the target during training, none over the test set.

    Args:
        num_features: D.
        num_classes: C.
    """

    paper = Paper(
        title="Revisiting Batch Normalization For Practical Domain Adaptation",
        authors=("Li", "Wang", "Shi", "Liu", "Hou"),
        venue="ICLR Workshops",
        year=2017,
        arxiv="1603.04779",
    )
    learns = False

    @torch.no_grad()
    def start(self, network: nn.Module, batches: Iterable[Any]) -> None:
        """Recompute the statistics of the network on raw inputs (B, ...) of the target.

        Raises:
            ValueError: it has no batch normalization with running statistics.
        """
        layers = normalization_layers(network, _BatchNorm)
        momenta = [layer.momentum for layer in layers]
        modes = {module: module.training for module in network.modules()}
        network.eval()  # dropout rests; normalization alone takes in the batches
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average
            layer.train()
        for inputs in batches:
            if len(inputs) > 1:  # a single item has no spread
                network(inputs)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
