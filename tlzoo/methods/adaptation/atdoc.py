"""ATDOC: target examples learn the labels of their neighbors in a memory."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_choice, check_counts
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.methods.checks import required
from tlzoo.nn.memory_bank import MemoryBank
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["ATDOC"]


class ATDOC(WeightedAlignment):
    """Auxiliary target domain-oriented classifier, neighborhood aggregation (Liang et al., CVPR 2021).

    Source: https://arxiv.org/abs/2007.04171.

    A memory holds the normalized features and the sharpened, class-balanced predictions of all target examples, q_c =
    p_c^2 / mean p_c^2, the mean being that of the batch. The mean q of the nearest ``neighbors`` gives each example a
    label and a confidence, which weighs its cross-entropy. loss = weight * p * weighted mean, growing with training
    progress p.

    Differs from the paper: q is divided by the mean of a class instead of its sum, so that it does not depend on the
    size of the batch; the memory starts from the network's answers at the first epoch instead of random ones, and
    takes in a batch before looking for its neighbors, so the same batch twice gives the same loss.

    Args:
        num_features: D.
        num_classes: C.
        neighbors: number of neighbors.
        confidence: ``"mass"``: the largest entry of the mean q, as in the authors' code; ``"share"``: that entry
            divided by the sum of all, a probability.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Domain Adaptation with Auxiliary Target Domain-Oriented Classifier",
        authors=("Liang", "Hu", "Feng"),
        venue="CVPR",
        year=2021,
        arxiv="2007.04171",
    )
    space = Space(weight=LogUniform(0.1, 10.0))
    needs = frozenset({Need.INDICES})
    revision = 2
    variants = ({}, {"neighbors": 2}, {"confidence": "share"})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        neighbors: int = 5,
        confidence: Literal["mass", "share"] = "mass",
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_counts(neighbors=neighbors)
        check_choice(confidence, ("mass", "share"), what="confidence")
        self.neighbors, self.confidence = neighbors, confidence
        self.memory = MemoryBank(num_features, num_classes)

    @property
    def transformable(self) -> bool:
        """It has a memory."""
        return False

    def on_epoch(self, target: Prediction) -> None:
        """Fill the memory with the whole target, once."""
        if not len(self.memory):
            features = F.normalize(at_least_float32(target.features), dim=1)
            self.memory.fill(features, _sharpened(target.logits), target.indices)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted cross-entropy of ``target.logits`` (M, C) to the labels of the neighbors.

        Raises:
            ValueError: the target has no indices, or :meth:`on_epoch` has not filled the memory.
        """
        confidence, answers = self._answers(target)
        losses = F.cross_entropy(target.logits, answers, reduction="none")
        loss = (confidence * losses).sum() / confidence.sum()
        return {"loss": self.weight * context.progress * loss, "confidence": confidence.mean(), "atdoc": loss.detach()}

    @torch.no_grad()
    def _answers(self, target: Prediction) -> tuple[Tensor, Tensor]:
        """Store the batch; return the confidence (M,) and the class (M,) from its neighbors."""
        indices = required(self, target.indices, "target.indices")
        features = F.normalize(target.features, dim=1)
        self.memory.update(indices, features, _sharpened(target.logits))
        nearest = self.memory.neighbors(indices, features, self.neighbors)
        mean = self.memory.probabilities[nearest].mean(dim=1)
        confidence, answers = mean.max(dim=1)
        return confidence / mean.sum(dim=1) if self.confidence == "share" else confidence, answers


def _sharpened(logits: Tensor) -> Tensor:
    """Return squared class probabilities (M, C), each class divided by its mean over the batch."""
    squares = at_least_float32(logits.detach()).softmax(dim=1).square()
    return squares / squares.mean(dim=0).clamp_min(torch.finfo(squares.dtype).tiny)
