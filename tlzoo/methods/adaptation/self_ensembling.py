"""Self-ensembling: a moving average of the network is its teacher on the target."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_shares
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["SelfEnsembling"]


class SelfEnsembling(WeightedAlignment):
    r"""Self-ensembling for visual domain adaptation (French et al., ICLR 2018), https://arxiv.org/abs/1706.05208.

    After each step, the weights of a teacher follow the network as a moving average. The teacher predicts q for the
    weak view of a target example, the network p for the strong view:

    .. math::

        w \left[ \frac{1}{M} \sum_j \mathbf{1}\left[\max_c q_{jc} > \tau\right]
        \frac{1}{C} \sum_c (p_{jc} - q_{jc})^2
        + b \, \kappa \sum_c \mathrm{BCE}\left( \bar p_c, \tfrac{1}{C} \right) \right]

    with the share kappa of confident examples and the mean prediction of the batch in the class balance.

    Differs from the paper: the strong view uses RandAugment; the paper has one kind of view for both. Source examples
    are not augmented. The network, not the teacher, makes the final predictions.

    Args:
        num_features: D.
        num_classes: C.
        threshold: tau, smallest probability of a teacher prediction to learn.
        smoothing: share of the teacher that each step keeps.
        balance: b, weight of the class balance within the term.
        weight: trade-off of the term.
    """

    label = "self-ensembling"
    paper = Paper(
        title="Self-ensembling for visual domain adaptation",
        authors=("French", "Mackiewicz", "Fisher"),
        venue="ICLR",
        year=2018,
        arxiv="1706.05208",
    )
    space = Space(weight=LogUniform(0.3, 30.0))
    needs = frozenset({Need.VIEWS, Need.MODEL})
    variants = ({}, {"threshold": 0.4, "balance": 0.0})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        threshold: float = 0.968,
        smoothing: float = 0.99,
        balance: float = 0.005,
        weight: float = 3.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_shares(threshold=threshold)
        check_shares(below_one=True, smoothing=smoothing)
        check_at_least(0, balance=balance)
        self.threshold, self.smoothing, self.balance = threshold, smoothing, balance
        self.teacher: nn.Module | None = None

    def prepare(self, network: nn.Module) -> None:
        """Create the teacher as a copy of the network."""
        self.teacher = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def after_step(self, network: nn.Module) -> None:
        """Move the teacher's weights toward the network's; its normalization statistics come from its own passes."""
        for own, weight in zip(self._prepared().parameters(), network.parameters(), strict=True):
            own.lerp_(weight, 1 - self.smoothing)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted distance between the strong view's logits (M, C) and the teacher's predictions.

        Raises:
            ValueError: the target has no views.
            RuntimeError: :meth:`prepare` was not called.
        """
        with torch.no_grad():
            answers = self._prepared()(target.view("weak").inputs).logits.softmax(dim=1)
            confident = (answers.amax(dim=1) > self.threshold).to(answers)
        probabilities = target.view("strong").logits.softmax(dim=1)
        distance = (confident * (probabilities - answers).square().mean(dim=1)).mean()
        loss = distance + self.balance * confident.mean() * self._imbalance(probabilities)
        return {"loss": self.weight * loss, "distance": distance.detach(), "confident": confident.mean()}

    def _imbalance(self, probabilities: Tensor) -> Tensor:
        mean = probabilities.mean(dim=0)
        return F.binary_cross_entropy(mean, torch.full_like(mean, 1 / self.num_classes), reduction="sum")

    def _prepared(self) -> nn.Module:
        if self.teacher is None:
            raise RuntimeError("SelfEnsembling has no teacher yet; call prepare(network) before training")
        return self.teacher
