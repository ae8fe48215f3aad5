"""Transductive fine-tuning: certain answers to the queries."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import cosine_similarities, memberships, prototypes
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.methods.oneshot.fitting import fit_cosine
from tlzoo.methods.oneshot.tim import information_gradient, shannon_slope
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["TransductiveFinetuning"]


class TransductiveFinetuning(FeatureClassifier):
    """Transductive fine-tuning (Dhillon et al., ICLR 2020), https://arxiv.org/abs/1909.02729.

    The weights of a cosine classifier start at the class means and minimize the support's cross-entropy plus the mean
    entropy of the answers to the queries.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        temperature: multiplies the cosines.
        steps: of descent; 25 in the paper.
        rate: length of a step.

    Differs from the paper: the head alone is trained, features are frozen; steps have one length in any coordinates.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> TransductiveFinetuning(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "transductive fine-tuning"
    paper = Paper(
        title="A Baseline for Few-Shot Image Classification",
        authors=("Dhillon", "Chaudhari", "Ravichandran", "Soatto"),
        venue="ICLR",
        year=2020,
        arxiv="1909.02729",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({}, {"transform": "L2N", "temperature": 1.0})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        temperature: float = 10.0,
        steps: int = 25,
        rate: float = 0.01,
    ) -> None:
        super().__init__(num_features, transform)
        self.temperature, self.steps, self.rate = temperature, steps, rate

    def classify(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)

        def gradient(logits: Tensor) -> Tensor:
            return information_gradient(
                logits, members, shannon_slope, support_weight=1.0, conditional_weight=1.0, marginal_weight=0.0
            )

        weights = fit_cosine(
            prototypes(support, support_labels, way),
            torch.cat([support, query], dim=1),
            gradient,
            temperature=self.temperature,
            steps=self.steps,
            rate=self.rate,
        )
        return self.temperature * cosine_similarities(query, weights)
