"""Strategies for fine-tuning a pretrained network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from torch import Tensor, nn
from torch.optim import Optimizer

from tlzoo.methods.base import Method
from tlzoo.methods.checks import check_output
from tlzoo.types import Backbone, Sees

__all__ = ["Strategy"]


class Strategy(Method):
    """A strategy for fine-tuning a pretrained network.

    Attributes:
        keeps_pretraining: whether the result depends on the pretrained weights, and thus on the data behind them.
        unfreezes: whether the parameters that train change in the course of training.
        looks_at_features: whether the penalty depends on the features of the batch.
        features: these features (B, D), with gradient; None where they were not given. Set by :meth:`penalty`.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    implements: ClassVar[str] = "regularizer(backbone, head)"
    keeps_pretraining: ClassVar[bool] = True
    unfreezes: ClassVar[bool] = False
    looks_at_features: ClassVar[bool] = False
    features: Tensor | None = None

    def prepare(self, backbone: Backbone) -> Backbone:
        """Return the backbone to train: frozen, re-initialized or wrapped."""
        return backbone

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return optimizer groups of the backbone's trainable parameters."""
        parameters = [p for p in backbone.parameters() if p.requires_grad]
        return [{"params": parameters, "lr": lr}] if parameters else []

    @final
    def penalty(self, backbone: Backbone, head: nn.Module, *, features: Tensor | None = None) -> Tensor | None:
        """Return a scalar added to the loss, or None.

        Args:
            backbone: the backbone that trains.
            head: its head.
            features: (B, D) of the batch, for strategies that look at them.

        Raises:
            FloatingPointError: it is NaN or Inf; the message names it. Checked on the CPU only.
        """
        self.features = features
        try:
            value = self.regularizer(backbone, head)
        finally:
            self.features = None
        if value is not None:
            networks = {"backbone": backbone, "head": head}
            inputs = {f"{name}.{key}": p for name, network in networks.items() for key, p in network.named_parameters()}
            check_output(self, value, inputs, what="the penalty")
        return value

    def regularizer(self, backbone: Backbone, head: nn.Module) -> Tensor | None:
        """Return the scalar of :meth:`penalty`, or None without penalty."""
        return None

    def on_progress(self, backbone: Backbone, progress: float) -> None:
        """Change what is trainable as training goes on (``progress`` in [0, 1])."""

    def on_step(
        self, backbone: Backbone, head: nn.Module, progress: float, *, optimizer: Optimizer | None = None
    ) -> None:
        """Prepare for the next training step, at ``progress`` in [0, 1]; by default call :meth:`on_progress`."""
        self.on_progress(backbone, progress)

    def answering(self, backbone: Backbone, head: nn.Module) -> Mapping[str, Tensor] | None:
        """Return the weights to predict with, where these are not the trained ones.

        Names are those of the state dicts of backbone and head, after ``backbone.`` and ``head.``.
        """
        return None

    @final
    def finish(self, backbone: Backbone, head: nn.Module) -> None:
        """Give backbone and head the weights of :meth:`answering`; in your own loop, after training."""
        if (weights := self.answering(backbone, head)) is not None:
            for name, network in (("backbone", backbone), ("head", head)):
                own = {key.removeprefix(f"{name}."): w for key, w in weights.items() if key.startswith(f"{name}.")}
                network.load_state_dict(own, strict=False)
