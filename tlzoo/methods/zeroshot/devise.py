"""DeViSE: map features close to the embedding of their class, by a ranking loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.functional.ranking import margin_violations
from tlzoo.methods.zeroshot.bilinear import Bilinear
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Losses

__all__ = ["DeViSE"]


class DeViSE(Bilinear):
    r"""Deep visual-semantic embedding (Frome et al., NeurIPS 2013).

    .. math:: F(x, c) = a_c^\top M f, \qquad \ell = \sum_{c \ne y} \left[ m - F(x, y) + F(x, c) \right]_+

    with unit class embeddings a. Source:
    https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model.

    Args:
        num_features: D.
        num_embedding: A.
        margin: m, the required lead of the right class; 0.1 in the paper.
        violators: ``"all"``: the whole sum; ``"first"``: only the first violator in a random order of the classes, as
            in the paper's training. A new order is drawn at every step.

    >>> devise = DeViSE(2, 2)
    >>> _ = torch.nn.init.eye_(devise.weight)
    >>> round(devise.loss(torch.eye(2), torch.tensor([1, 1]), torch.eye(2))["loss"].item(), 3)
    0.55

    Differs from the paper: the visual network stays frozen, and features are L2-normalized.
    """

    paper = Paper(
        title="DeViSE: A Deep Visual-Semantic Embedding Model",
        authors=("Frome", "Corrado", "Shlens", "Bengio", "Dean", "Ranzato", "Mikolov"),
        venue="NeurIPS",
        year=2013,
        page="https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model",
    )
    revision = 2
    space = Space(margin=LogUniform(0.01, 1.0))
    variants = ({}, {"violators": "first"})

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        margin: float = 0.1,
        violators: Literal["all", "first"] = "all",
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(margin=margin)
        check_choice(violators, ("all", "first"), what="violators")
        self.margin, self.violators = margin, violators
        self.random = RandomStream()

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the mean loss of a batch."""
        hinges = margin_violations(self.scores(features, class_embeddings), labels, margin=self.margin)
        if self.violators == "first":
            with torch.no_grad():
                order = torch.randperm(hinges.shape[1], generator=self.random.next()).to(hinges.device)
            violates = hinges[:, order] > 0
            first = violates & (violates.cumsum(dim=1) == 1)
            hinges = hinges[:, order] * first
        return {"loss": hinges.sum(dim=1).mean()}
