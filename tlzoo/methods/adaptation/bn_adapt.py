"""BN-adapt: statistics of normalization between those of the source and of the test batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.test_time import TestTime
from tlzoo.nn.normalization import normalization_layers
from tlzoo.paper import Paper

__all__ = ["BNAdapt"]


class BNAdapt(TestTime):
    r"""Statistics with the source as prior (Schneider et al., NeurIPS 2020), https://arxiv.org/abs/2006.16971.

    .. math:: \bar\mu = \frac{N}{N + n} \mu_s + \frac{n}{N + n} \mu_t, \qquad
        \bar\sigma^2 = \frac{N}{N + n} \sigma_s^2 + \frac{n}{N + n} \sigma_t^2

    in each batch normalization layer, with the running statistics of the source model and those of a test batch of n
    items. Nothing is learned, and nothing is remembered from one batch to the next. A batch of one has a use, too.

    Args:
        model: the source model; copied.
        prior: N, how many test items the source counts as; 0 is the plain use of the batch's statistics.

    Raises:
        ValueError: the model has no batch normalization.
    """

    label = "BN adapt"
    paper = Paper(
        title="Improving Robustness Against Common Corruptions by Covariate Shift Adaptation",
        authors=("Schneider", "Rusak", "Eck", "Bringmann", "Brendel", "Bethge"),
        venue="NeurIPS",
        year=2020,
        arxiv="2006.16971",
    )
    variants = ({}, {"prior": 1.0})

    def __init__(self, model: nn.Module, *, prior: float = 16.0) -> None:
        super().__init__(model)
        check_at_least(0, prior=prior)
        self.prior = prior
        self._pairs()

    def _pairs(self) -> list[tuple[_BatchNorm, _BatchNorm]]:
        layers = [normalization_layers(network, _BatchNorm) for network in (self.model, self.initial)]
        return list(zip(*layers, strict=True))

    def adapt(self, inputs: Any) -> Tensor:
        """Return the logits (B, C) under the statistics of source and batch."""
        share = len(inputs) / (self.prior + len(inputs))

        def blend(layer: _BatchNorm, source: _BatchNorm, values: Tensor) -> None:
            flat = at_least_float32(values).transpose(0, 1).flatten(1)
            for name, found in (("running_mean", flat.mean(dim=1)), ("running_var", flat.var(dim=1, unbiased=False))):
                start = source.get_buffer(name)
                layer.get_buffer(name).copy_(torch.lerp(start, found.to(start), share))

        hooks = [
            layer.register_forward_pre_hook(lambda own, values, source=source: blend(own, source, values[0]))
            for layer, source in self._pairs()
        ]
        try:
            return self.predict(inputs).logits
        finally:
            for hook in hooks:
                hook.remove()
