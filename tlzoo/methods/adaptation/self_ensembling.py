"""Self-ensembling: a moving average of the network teaches it on the target."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_shares
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["SelfEnsembling"]


class SelfEnsembling(Alignment):
    """Self-ensembling for visual domain adaptation (French et al., ICLR 2018), https://arxiv.org/abs/1706.05208.

    A teacher, whose weights follow the network's by t <- smoothing t + (1 - smoothing) w after each step, answers the
    weak view of a target example with q; the network answers the strong view with p. loss = weight * (mean over the
    target of 1[max q > threshold] sum_c (p_c - q_c)^2 / C + balance * confident share * class balance), the class
    balance being the sum over classes of the binary cross-entropy of the mean p_c to 1 / C.

    Differs from the paper: the strong view is RandAugment's where the paper has one kind of view for both; source
    examples are not changed; the network answers at the end, not the teacher.

    Args:
        num_features: D.
        num_classes: C.
        threshold: least probability of an answer of the teacher that is learned.
        smoothing: alpha.
        balance: weight of the class balance within the term.
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
        super().__init__(num_features, num_classes)
        check_shares(threshold=threshold)
        check_shares(below_one=True, smoothing=smoothing)
        check_at_least(0, balance=balance, weight=weight)
        self.threshold, self.smoothing, self.balance, self.weight = threshold, smoothing, balance, weight
        self.teacher: nn.Module | None = None

    def prepare(self, network: nn.Module) -> None:
        """Copy the network: the teacher begins as its twin."""
        self.teacher = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def after_step(self, network: nn.Module) -> None:
        """Move the teacher's weights to the network's; statistics of normalization are of its own passes."""
        for own, weight in zip(self._prepared().parameters(), network.parameters(), strict=True):
            own.lerp_(weight, 1 - self.smoothing)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted distance of the strong view's logits (M, C) to the teacher's answers.

        Raises:
            ValueError: the target has no such views.
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
