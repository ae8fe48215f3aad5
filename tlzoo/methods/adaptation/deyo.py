"""DeYO: learn from predictions that depend on the shape of objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_counts, check_shares
from tlzoo.methods.test_time import Online
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["DeYO", "shuffled"]


class DeYO(Online):
    r"""Destroy your object (Lee et al., ICLR 2024), https://arxiv.org/abs/2403.07366.

    As TENT, on predictions whose entropy H is below ``margin`` * ln C, and whose class loses more than ``drop`` of its
    probability where the object is destroyed, by a random order of patches:

    .. math:: \frac{1}{|S|} \sum_{i \in S} \left(e^{E_0 - H_i} + e^{\Delta_i}\right) H_i

    with :math:`E_0` = ``reference`` * ln C and the lost probability :math:`\Delta`; the factors are detached.

    Differs from the paper: the scales and shifts of all normalization layers are trained, the last ones too. Vectors
    have no patches; their entries change places.

    Args:
        model: the source model; copied.
        lr: learning rate of SGD.
        momentum: momentum of SGD.
        margin: limit of the entropy, as a share of the largest.
        reference: of the weights, likewise.
        drop: the least loss of probability.
        patches: patches a side.
        destroy: maps inputs (B, ...) and a generator to destroyed ones; None for :func:`shuffled`.
    """

    label = "DeYO"
    paper = Paper(
        title="Entropy is not Enough for Test-Time Adaptation: From the Perspective of Disentangled Factors",
        authors=("Lee", "Jung", "Lee", "Park", "Shin", "Hwang", "Yoon"),
        venue="ICLR",
        year=2024,
        arxiv="2403.07366",
    )
    variants = ({}, {"margin": 1.0, "drop": 0.0})

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 2.5e-4,
        momentum: float = 0.9,
        margin: float = 0.5,
        reference: float = 0.4,
        drop: float = 0.2,
        patches: int = 4,
        destroy: Callable[[Any, torch.Generator], Any] | None = None,
    ) -> None:
        self.lr, self.momentum = lr, momentum
        super().__init__(model)
        check_shares(margin=margin, reference=reference, drop=drop)
        check_counts(patches=patches)
        self.margin, self.reference, self.drop = margin, reference, drop
        self.patches, self.destroy = patches, destroy
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters: each item draws its own order of patches."""
        return True

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return SGD with momentum."""
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Lower the weighted entropy of the predictions that count, of logits (B, C)."""
        generator, most = self.random.next(), math.log(logits.shape[1])
        uncertainty = entropy(logits)
        counted = (uncertainty.detach() < self.margin * most).nonzero()[:, 0]
        if not len(counted):
            return
        lost = self._lost(inputs[counted], logits.detach()[counted], generator)
        counted, lost = counted[lost > self.drop], lost[lost > self.drop]
        if len(counted):
            weights = torch.exp(self.reference * most - uncertainty.detach()[counted]) + torch.exp(lost)
            self.step((weights * uncertainty[counted]).mean())

    @torch.no_grad()
    def _lost(self, inputs: Any, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Return how much probability (B,) the predicted classes lose without the object."""
        destroy = self.destroy or (lambda items, random: shuffled(items, random, patches=self.patches))
        after = self.answer(destroy(inputs, generator)).logits.softmax(dim=1)
        labels = logits.argmax(dim=1, keepdim=True)
        return (logits.softmax(dim=1).gather(1, labels) - after.gather(1, labels))[:, 0]

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.random.restart()


def shuffled(inputs: Tensor, generator: torch.Generator, *, patches: int = 4) -> Tensor:
    """Return pictures (B, H, W, C) with their patches in random order, or vectors (B, D) with their entries.

    What is left over at the right and at the bottom, where a side is no multiple of ``patches``, stays.

    Raises:
        ValueError: inputs of another form.
    """
    if inputs.ndim == 2:
        order = torch.rand(inputs.shape, generator=generator).argsort(dim=1).to(inputs.device)
        return inputs.gather(1, order)
    if inputs.ndim != 4:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}; give destroy, which knows how to destroy an object")
    (height, width), channels = (side // patches for side in inputs.shape[1:3]), inputs.shape[3]
    core = inputs[:, : height * patches, : width * patches]
    tiles = core.reshape(-1, patches, height, patches, width, channels).transpose(2, 3).flatten(1, 2)
    order = torch.rand(tiles.shape[:2], generator=generator).argsort(dim=1).to(inputs.device)
    moved = tiles.gather(1, order[:, :, None, None, None].expand(-1, -1, height, width, channels))
    moved = moved.reshape(-1, patches, patches, height, width, channels).transpose(2, 3).flatten(1, 2).flatten(2, 3)
    changed = inputs.clone()
    changed[:, : height * patches, : width * patches] = moved
    return changed
