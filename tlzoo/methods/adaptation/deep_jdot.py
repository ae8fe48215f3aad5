"""DeepJDOT: couple source and target features and labels by an optimal transport plan."""

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
    r"""Deep joint distribution optimal transport (Damodaran et al., ECCV 2018), https://arxiv.org/abs/1803.10081.

    .. math::

        w \sum_{i, j} \gamma_{ij} c_{ij}, \qquad
        c_{ij} = \alpha \lVert f_i^s - f_j^t \rVert^2 + \beta \, \mathrm{CE}(\text{logits}_j^t, y_i^s)

    with the plan of least cost between uniform masses, held constant. POT computes it exactly on the CPU.

    Args:
        num_features: D.
        num_classes: C.
        alpha: factor of the distance between features.
        beta: factor of the label loss (lambda_t in the paper).
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
        """Return the cost of the plan between source features (N, D), labels (N,) and target (M, D), (M, C).

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
