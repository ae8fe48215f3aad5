"""TIM: maximize the mutual information between queries and their predicted labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.oneshot.descent import DescendingClassifier, Distance, cross_entropy, through_softmax
from tlzoo.methods.oneshot.features import Transform
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["TIM"]


class TIM(DescendingClassifier):
    """TIM-GD (Boudiaf, Masud, Rony, Dolz, Piantanida & Ben Ayed, NeurIPS 2020), https://arxiv.org/abs/2008.11297.

    Class weights start at the class means and minimize support_weight * CE(support) + conditional_weight * H(Y|X) -
    H(Y), entropies of the queries. Transductive; H(Y) asks for balanced queries: AlphaTIM is for others.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot; the paper has L2N.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        distance: ``"euclidean"``: logits are -temperature / 2 * ||f - w||^2, as in the authors' code; ``"cosine"``:
            temperature * cos(f, w).
        temperature: of the logits.
        support_weight: lambda.
        conditional_weight: alpha.
        steps: number of descent steps; 1,000 in the paper.
        rate: length of a step.

    Differs from the paper: step lengths do not depend on the coordinates, as Adam's do (1e-4 in D dimensions is a
    length of 1e-4 sqrt(D)). Steps are fewer and longer. CL2N by default.

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
    sees = DescendingClassifier.sees | {Sees.TEST_INPUTS}
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"steps": 20},
        {"transform": "UN", "steps": 10, "support_weight": 1.0},
        {"distance": "cosine"},
    )
    revision = 2

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        distance: Distance = "euclidean",
        temperature: float = 15.0,
        support_weight: float = 0.1,
        conditional_weight: float = 0.1,
        steps: int = 50,
        rate: float = 0.02,
    ) -> None:
        super().__init__(
            num_features,
            transform,
            base_mean=base_mean,
            distance=distance,
            temperature=temperature,
            steps=steps,
            rate=rate,
        )
        check_at_least(0, support_weight=support_weight, conditional_weight=conditional_weight)
        self.support_weight, self.conditional_weight = support_weight, conditional_weight

    def objective(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return support_weight * CE(support) + conditional_weight * H(Y|X) - H(Y)."""
        known, asked = logits[:, : members.shape[1]], logits[:, members.shape[1] :]
        answers = asked.softmax(dim=-1)
        conditional = self.entropy_terms(answers).sum(dim=-1).mean(dim=1)
        marginal = self.entropy_terms(answers.mean(dim=1)).sum(dim=-1)
        return self.support_weight * cross_entropy(known, members) + self.conditional_weight * conditional - marginal

    def gradient(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return the gradient of the objective with respect to the logits."""
        probabilities = logits.softmax(dim=-1)
        known, answers = probabilities[:, : members.shape[1]], probabilities[:, members.shape[1] :]
        marginal = answers.mean(dim=1, keepdim=True)
        by_answers = self.conditional_weight * self.entropy_slope(answers) - self.entropy_slope(marginal)
        by_known = self.support_weight / members.shape[1] * (known - members)
        return torch.cat([by_known, through_softmax(answers, by_answers) / answers.shape[1]], dim=1)

    def entropy_terms(self, probabilities: Tensor) -> Tensor:
        """Return -p log p, whose sum is the entropy."""
        return -probabilities * probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()

    def entropy_slope(self, probabilities: Tensor) -> Tensor:
        """Return the derivative of an entropy term, but for a constant, which no softmax lets through."""
        return -probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
