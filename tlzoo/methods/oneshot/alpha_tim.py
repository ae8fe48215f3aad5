"""Alpha-TIM: TIM for queries that are not balanced."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import memberships, negative_squared_distances, prototypes
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.methods.oneshot.fitting import fit_euclidean
from tlzoo.methods.oneshot.tim import information_gradient
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["AlphaTIM"]


class AlphaTIM(FeatureClassifier):
    """Alpha-TIM (Veilleux, Boudiaf, Piantanida & Ben Ayed, NeurIPS 2021), https://arxiv.org/abs/2204.11181.

    TIM's loss with entropies H_a(p) = (1 - sum p^a) / (a - 1), whose pull toward balanced answers is weaker, and logits
    -temperature / 2 * ||f - w||^2. Transductive.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        alpha: a, above 1; the nearer to 1, the more balanced the answers (1 is TIM's entropy).
        temperature: of the logits; 15 in the paper, less does better on lite0's features.
        steps: of descent; 1,000 in the paper.
        rate: length of a step.

    Differs from the paper: steps have one length in any coordinates, see TIM.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> AlphaTIM(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "alpha-TIM"
    paper = Paper(
        title="Realistic Evaluation of Transductive Few-Shot Learning",
        authors=("Veilleux", "Boudiaf", "Piantanida", "Ben Ayed"),
        venue="NeurIPS",
        year=2021,
        arxiv="2204.11181",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({"steps": 20}, {"transform": "L2N", "steps": 10, "alpha": 5.0})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        alpha: float = 2.0,
        temperature: float = 15.0,
        steps: int = 50,
        rate: float = 0.02,
    ) -> None:
        super().__init__(num_features, transform)
        if alpha <= 1:
            raise ValueError(f"alpha {alpha}; expected a number > 1 (TIM is for 1)")
        self.alpha, self.temperature, self.steps, self.rate = alpha, temperature, steps, rate

    def classify(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)

        def slope(probabilities: Tensor) -> Tensor:
            return -self.alpha / (self.alpha - 1) * probabilities ** (self.alpha - 1)

        def gradient(logits: Tensor) -> Tensor:
            return information_gradient(
                logits, members, slope, support_weight=1.0, conditional_weight=1.0, marginal_weight=1.0
            )

        weights = fit_euclidean(
            prototypes(support, support_labels, way),
            torch.cat([support, query], dim=1),
            gradient,
            temperature=self.temperature,
            steps=self.steps,
            rate=self.rate,
        )
        return self.temperature / 2 * negative_squared_distances(query, weights)
