"""TIM: mutual information between queries and their labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlzoo.functional import cosine_similarities, memberships, prototypes
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.methods.oneshot.fitting import fit_cosine, through_softmax
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["TIM", "information_gradient", "shannon_slope"]


def shannon_slope(probabilities: Tensor) -> Tensor:
    """Return the derivative of -p log p by p, but for a constant, which no softmax lets through."""
    return -probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def information_gradient(
    logits: Tensor,
    members: Tensor,
    slope: Callable[[Tensor], Tensor],
    *,
    support_weight: float,
    conditional_weight: float,
    marginal_weight: float,
) -> Tensor:
    """Return the gradient by logits (E, S + Q, way) of TIM's loss.

    The loss is support_weight * CE(support) + conditional_weight * H(Y|X) - marginal_weight * H(Y), the entropies those
    of the queries.

    Args:
        logits: of support and queries.
        members: (E, S, way) labels of the support as ones and zeros.
        slope: the derivative of one term of the entropy by its probability.
        support_weight: as above.
        conditional_weight: as above.
        marginal_weight: as above.
    """
    probabilities = logits.softmax(dim=-1)
    known, guessed = probabilities[:, : members.shape[1]], probabilities[:, members.shape[1] :]
    marginal = guessed.mean(dim=1, keepdim=True)
    by_guessed = conditional_weight * slope(guessed) - marginal_weight * slope(marginal)
    return torch.cat(
        [
            support_weight / members.shape[1] * (known - members),
            through_softmax(guessed, by_guessed) / guessed.shape[1],
        ],
        dim=1,
    )


class TIM(FeatureClassifier):
    """TIM-GD (Boudiaf, Masud, Rony, Dolz, Piantanida & Ben Ayed, NeurIPS 2020), https://arxiv.org/abs/2008.11297.

    The weights of a cosine classifier start at the class means and minimize
    support_weight * CE(support) + conditional_weight * H(Y|X) - H(Y), entropies of the queries. Transductive; H(Y) asks
    for balanced queries: AlphaTIM is for others.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot; the paper has L2N.
        temperature: multiplies the cosines.
        support_weight: of the support's cross-entropy, lambda in the paper.
        conditional_weight: of H(Y|X), alpha in the paper.
        steps: of descent; 1,000 in the paper.
        rate: length of a step.

    Differs from the paper: steps have one length in any coordinates, where Adam's depend on them (1e-4 in D dimensions
    is a length of 1e-4 sqrt(D)), and are fewer and longer; CL2N by default.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> TIM(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    paper = Paper(
        title="Transductive Information Maximization For Few-Shot Learning",
        authors=("Boudiaf", "Masud", "Rony", "Dolz", "Piantanida", "Ben Ayed"),
        venue="NeurIPS",
        year=2020,
        arxiv="2008.11297",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({"steps": 20}, {"transform": "UN", "steps": 10, "support_weight": 1.0})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        temperature: float = 15.0,
        support_weight: float = 0.1,
        conditional_weight: float = 0.1,
        steps: int = 50,
        rate: float = 0.05,
    ) -> None:
        super().__init__(num_features, transform)
        self.temperature, self.steps, self.rate = temperature, steps, rate
        self.support_weight, self.conditional_weight = support_weight, conditional_weight

    def classify(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)

        def gradient(logits: Tensor) -> Tensor:
            return information_gradient(
                logits,
                members,
                shannon_slope,
                support_weight=self.support_weight,
                conditional_weight=self.conditional_weight,
                marginal_weight=1.0,
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
