"""AdaBN: batch normalization with the statistics of the target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.normalization import Moments, normalization_layers
from tlzoo.paper import Paper

__all__ = ["AdaBN"]


class AdaBN(SourceFree):
    """Adaptive batch normalization (Li et al., ICLR Workshops 2017), https://arxiv.org/abs/1603.04779.

    The running statistics of all batch normalization layers become the mean and variance of the layer's inputs over the
    whole unlabelled target, by the paper's running update: with n examples so far and k in the batch, the mean moves by
    k / (n + k) of the way to the batch's, and the variances combine with the spread between the means. Each batch
    passes under its own statistics; weights stay as they are.

    Differs from the paper: one pass over the target during training, none over the test set; the variance is divided by
    N - 1, as torch has it.

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

    revision = 2

    @torch.no_grad()
    def start(self, network: nn.Module, batches: Iterable[Any]) -> None:
        """Recompute the statistics of the network on raw inputs (B, ...) of the target, in a random order.

        Raises:
            ValueError: there is no batch normalization layer, one has no running statistics, or there are fewer than
                two examples.
        """
        layers = normalization_layers(network, _BatchNorm)
        if any(layer.running_mean is None for layer in layers):
            raise ValueError(
                "AdaBN: batch normalization of the network keeps no running statistics, it takes those of each batch "
                "already; give it a network with track_running_stats=True"
            )
        modes = {module: module.training for module in network.modules()}
        network.eval()  # dropout rests; normalization alone takes in the batches
        moments = [Moments(layer) for layer in layers]
        for inputs in batches:
            network(inputs)
        for module, mode in modes.items():
            module.training = mode
        for found in moments:
            found.finish()
