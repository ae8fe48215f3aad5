"""DeepJDOT: an optimal plan couples source and target by features and labels."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import transport_plan
from tlzoo.functional.checks import check_at_least
from tlzoo.methods.checks import required
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.types import Prediction

__all__ = ["DeepJDOT"]


class DeepJDOT(Statistic):
    """Deep joint distribution optimal transport (Damodaran et al., ECCV 2018), https://arxiv.org/abs/1803.10081.

    loss = weight * sum over i, j of G_ij c_ij with c_ij = alpha ||f_s_i - f_t_j||^2 + beta CE(y_s_i, logits_t_j) and G
    the plan of least cost between uniform masses, held constant. Solved exactly by POT on the CPU.

    Args:
        num_features: D.
        num_classes: C.
        alpha: factor of the distance of features.
        beta: factor of the loss of labels (the paper's lambda_t).
        weight: trade-off of the term.
    """

    paper = Paper(
        title="DeepJDOT: Deep Joint Distribution Optimal Transport for Unsupervised Domain Adaptation",
        authors=("Damodaran", "Kellenberger", "Flamary", "Tuia", "Courty"),
        venue="ECCV",
        year=2018,
        arxiv="1803.10081",
    )
    logged = "transport_cost"

    def __init__(
        self, num_features: int, num_classes: int, *, alpha: float = 0.001, beta: float = 0.0001, weight: float = 1.0
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_at_least(0, alpha=alpha, beta=beta)
        self.alpha, self.beta = alpha, beta

    @property
    def transformable(self) -> bool:
        """POT solves outside torch."""
        return False

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the cost of the plan between source (N, D), labels (N,) and target (M, D), (M, C).

        Raises:
            ValueError: the source has no labels.
        """
        labels = required(self, source.labels, "source.labels")
        squares = [side.features.square().sum(dim=1) for side in (source, target)]
        products = source.features @ target.features.T
        distances = (squares[0][:, None] + squares[1][None, :] - 2 * products).clamp_min(0)
        label_costs = -target.logits.log_softmax(dim=1).T[labels]  # (N, M)
        cost = self.alpha * distances + self.beta * label_costs
        return (transport_plan(cost) * cost).sum()
