"""DANCE: neighbors in the target or class prototypes, and an entropy away from the threshold of the unknown."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts, check_positive
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.methods.checks import required
from tlzoo.nn.memory_bank import Memory
from tlzoo.nn.open_head import OpenHead
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["DANCE"]

_EPS = 1e-5


class DANCE(WeightedAlignment):
    r"""Domain adaptive neighborhood clustering (Saito et al., NeurIPS 2020), https://arxiv.org/abs/2002.07953.

    The last of the C classes is "unknown" and has no source example; the head is a cosine classifier of the K others.
    On the target, with entropies H of the classifier's predictions p and of a distribution q over class prototypes,
    all remembered target features and those of the batch, as similar as each is,

    .. math:: w \left( \frac{1}{M} \sum_j H(q_j) - \frac{1}{M} \sum_j \max(|H(p_j) - \rho|, m) \right)

    which draws an item to a neighbor or a prototype, and its entropy away from :math:`\rho = \tfrac12 \ln K`. An item
    is unknown where its entropy is above rho.

    Differs from the paper: normalization is the network's own, shared or by domain; weights of the classifier are
    normalized in each pass, not before each step; and the memory starts with the target's features, not at random.

    Args:
        num_features: D.
        num_classes: C, including "unknown".
        weight: w.
        temperature: of similarities.
        margin: m.
    """

    paper = Paper(
        title="Universal Domain Adaptation through Self Supervision",
        authors=("Saito", "Kim", "Sclaroff", "Saenko"),
        venue="NeurIPS",
        year=2020,
        arxiv="2002.07953",
    )
    needs = frozenset({Need.INDICES})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        weight: float = 0.05,
        temperature: float = 0.05,
        margin: float = 0.5,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_counts(low=3, num_classes=num_classes)
        check_positive(temperature=temperature)
        check_at_least(0, margin=margin)
        self.temperature, self.margin = temperature, margin
        self.head = _Head(num_features, num_classes - 1, temperature)
        self.memory = Memory(features=torch.empty(0, num_features))

    @property
    def transformable(self) -> bool:
        """It has a memory."""
        return False

    def make_head(self) -> nn.Module:
        """Return the head, which is also part of the method."""
        return self.head

    def on_epoch(self, target: Prediction) -> None:
        """Fill the memory with the whole target, once."""
        held = self.memory.get_buffer("features")
        if not len(held):
            order = slice(None) if target.indices is None else target.indices.argsort()
            features = F.normalize(at_least_float32(target.features.detach()), dim=1)
            self.memory.features = features[order].to(held).clone()

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted loss of target features (M, D), and store them.

        Raises:
            ValueError: the target has no indices, or :meth:`on_epoch` has not filled the memory.
        """
        indices, held = required(self, target.indices, "target.indices"), self.memory.get_buffer("features")
        if not len(held) or int(indices.max()) >= len(held):
            raise ValueError(f"DANCE: a memory of {len(held)} target features; fill it with the whole target first")
        known, features = self.head.known(target.features), F.normalize(target.features, dim=1)
        never = -1 / self.temperature
        remembered = (features @ held.T.to(features) / self.temperature).index_fill(1, indices, never)
        itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
        together = (features @ features.T / self.temperature).masked_fill(itself, never)
        clustering = _entropy(torch.cat([known, remembered, together], dim=1)).mean()
        distance = (_entropy(known) - self.head.threshold).abs()
        separation = -distance.clamp_min(self.margin).mean()
        with torch.no_grad():
            # out of place: the loss has read what was there before
            self.memory.features = held.index_copy(0, indices, features.to(held))
        loss = self.weight * (clustering + separation)
        return {"loss": loss, "clustering": clustering.detach(), "separation": separation.detach()}


def _entropy(logits: Tensor) -> Tensor:
    """Return the entropies (B,) of logits, with the authors' epsilon in the logarithm."""
    p = logits.softmax(dim=1)
    return -(p * (p + _EPS).log()).sum(dim=1)


class _Head(OpenHead):
    """A cosine classifier, unknown by its entropy."""

    def __init__(self, num_features: int, known: int, temperature: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(known, num_features))
        nn.init.normal_(self.weight, std=0.1)
        self.temperature, self.threshold = temperature, math.log(known) / 2

    def known(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, K)."""
        return F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1)) / self.temperature

    def doubt(self, features: Tensor, known: Tensor) -> Tensor:
        """Return (B,) how far the entropy is above the threshold."""
        return _entropy(known) - self.threshold
