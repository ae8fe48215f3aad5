"""Labels travel with the mass of an optimal transport plan."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.transport import regularized_plan
from tlzoo.methods.target_labeling import TargetLabeling
from tlzoo.paper import Paper

__all__ = ["OTLabelPropagation"]


class OTLabelPropagation(TargetLabeling):
    r"""Label propagation by optimal transport (Redko et al., AISTATS 2019), https://arxiv.org/abs/1803.04899.

    .. math:: p(c \mid t_j) = M \sum_{i : y_i = c} \gamma_{ij}

    with the plan between uniform masses for squared distances divided by their median, by POT.

    Differs from the paper: one source, and the classes of the target are as frequent as in the source; the paper
    estimates their frequencies from several sources.

    Args:
        num_features: D.
        num_classes: C.
        entropy: weight of the plan's entropy; 0 for the exact plan.
        standardize: whether each domain is standardized first.
    """

    label = "OT label propagation"
    paper = Paper(
        title="Optimal Transport for Multi-source Domain Adaptation under Target Shift",
        authors=("Redko", "Courty", "Flamary", "Tuia"),
        venue="AISTATS",
        year=2019,
        arxiv="1803.04899",
    )
    variants = ({}, {"entropy": 0.5, "standardize": False})

    def __init__(self, num_features: int, num_classes: int, *, entropy: float = 0.0, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_at_least(0, entropy=entropy)
        self.entropy = entropy

    def label_target(self, source: Tensor, labels: Tensor, target: Tensor) -> Tensor:
        """Return (M, C) the classes of the mass that reaches each target example."""
        plan = regularized_plan(source, target, entropy=self.entropy)
        return plan.T @ F.one_hot(labels, self.num_classes).to(plan)
