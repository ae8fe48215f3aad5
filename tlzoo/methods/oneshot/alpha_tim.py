"""Alpha-TIM: TIM for unbalanced queries."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tlzoo.methods.oneshot.features import Transform
from tlzoo.methods.oneshot.tim import TIM
from tlzoo.paper import Paper

__all__ = ["AlphaTIM"]


class AlphaTIM(TIM):
    """Alpha-TIM (Veilleux, Boudiaf, Piantanida & Ben Ayed, NeurIPS 2021), https://arxiv.org/abs/2204.11181.

    TIM's objective, all weights 1, with entropies H_a(p) = (1 - sum p^a) / (a - 1), whose pull toward balanced answers
    is weaker; logits are -temperature / 2 * ||f - w||^2. Transductive.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        alpha: above 1; the closer to 1, the more balanced the predictions (1 is TIM's entropy).
        temperature: tau; 15 in the paper, smaller values do better on lite0's features.
        steps: number of descent steps; 1,000 in the paper.
        rate: length of a step.

    Differs from the paper: step lengths do not depend on the coordinates, see TIM.

    >>> import torch
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
    variants = ({"steps": 20}, {"transform": "L2N", "steps": 10, "alpha": 5.0})
    revision = 1

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        alpha: float = 2.0,
        temperature: float = 15.0,
        steps: int = 50,
        rate: float = 0.02,
    ) -> None:
        super().__init__(
            num_features,
            transform=transform,
            base_mean=base_mean,
            temperature=temperature,
            support_weight=1.0,
            conditional_weight=1.0,
            steps=steps,
            rate=rate,
        )
        if not alpha > 1:
            raise ValueError(f"alpha {alpha}; expected a number > 1 (TIM is for 1)")
        self.alpha = alpha

    def entropy_terms(self, probabilities: Tensor) -> Tensor:
        """Return (p - p^a) / (a - 1), whose sum is the entropy."""
        return (probabilities - probabilities**self.alpha) / (self.alpha - 1)

    def entropy_slope(self, probabilities: Tensor) -> Tensor:
        """Return the derivative of an entropy term, but for a constant, which no softmax lets through."""
        return -self.alpha / (self.alpha - 1) * probabilities ** (self.alpha - 1)
