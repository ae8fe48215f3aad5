"""SDAT: a smooth task loss, for adversaries and other terms to be trained beside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_positive
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.nn.batch_statistics import resting_statistics
from tlzoo.nn.joint_forward import through
from tlzoo.nn.sharpness import uphill
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction, Sees, is_withheld

__all__ = ["SDAT"]


class SDAT(WeightedAlignment):
    r"""Smooth domain-adversarial training (Rangwani et al., ICML 2022), https://arxiv.org/abs/2206.08213.

    .. math::

        w \left[ L_s(\theta + \epsilon) - L_s(\theta) \right], \qquad
        \epsilon = \rho \, \nabla L_s(\theta) / \lVert \nabla L_s(\theta) \rVert

    with the cross-entropy L_s of the source. Added to the supervised loss it gives :math:`L_s(\theta + \epsilon)`, so
    that the task loss is minimized by sharpness-aware steps while the terms of other methods are not. Combine it with
    one: ``"cdan+sdat"``, or ``"cdan+mcc+sdat"``. Alone it is SAM on the source.

    The network sees the batch three times. Passes at the new weights leave the running statistics of batch
    normalization alone; the target goes through with the source where another method of a combination sees it.

    Differs from the paper: its equation is followed. The authors' code also computes the other terms at
    :math:`\theta + \epsilon`, and the gradient of MCC, where it is added, is part of :math:`\epsilon`.

    Args:
        num_features: D.
        num_classes: C.
        radius: rho.
        weight: w; 1 replaces the supervised loss by the smooth one.
    """

    label = "SDAT"
    paper = Paper(
        title="A Closer Look at Smoothness in Domain Adversarial Training",
        authors=("Rangwani", "Aithal", "Mishra", "Jain", "Babu"),
        venue="ICML",
        year=2022,
        arxiv="2206.08213",
    )
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})
    needs = frozenset({Need.MODEL})
    space = Space(radius=LogUniform(0.005, 0.5))

    def __init__(self, num_features: int, num_classes: int, *, radius: float = 0.02, weight: float = 1.0) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_positive(radius=radius)
        self.radius = radius

    @property
    def transformable(self) -> bool:
        """It takes a gradient within the loss."""
        return False

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the rise of the cross-entropy of ``source.logits`` (N, C), from its inputs and labels, by the model.

        Raises:
            ValueError: the model, the inputs or the labels of the source are missing.
        """
        if source.labels is None or source.inputs is None:
            raise ValueError("sdat needs the labels and the inputs of the source; give both with its Prediction")
        parts = {"source": source.inputs}
        if not is_withheld(target, "inputs") and target.inputs is not None:
            parts["target"] = target.inputs
        network = _Joint(context.model)
        weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        with resting_statistics(network), torch.enable_grad():
            here = F.cross_entropy(network(parts), source.labels)
            there = torch.func.functional_call(network, uphill(here, weights, self.radius), (parts,))
        sharpness = F.cross_entropy(there, source.labels) - F.cross_entropy(source.logits, source.labels)
        return {"loss": self.weight * sharpness, "sharpness": sharpness.detach()}


class _Joint(nn.Module):
    """The logits of the source, from a network that is given both sides as one batch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, parts: dict[str, Any]) -> Tensor:
        """Return the logits (N, C) of ``parts["source"]``."""
        return through(self.model, parts)["source"].logits
