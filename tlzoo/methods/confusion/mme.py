"""MME: the classifier maximizes the entropy on the target, the features minimize it."""

from __future__ import annotations

from torch import Tensor, nn

from tlzoo.functional import entropy, gradient_reversal
from tlzoo.functional.checks import check_positive
from tlzoo.functional.norms import directions
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["MME", "CosineHead"]


class CosineHead(nn.Module):
    r"""A linear layer without bias on features of norm 1; features of zeros give zeros.

    .. math:: \frac{w_c^\top f}{T \lVert f \rVert}

    Args:
        num_features: D.
        num_classes: C.
        temperature: T.
    """

    def __init__(self, num_features: int, num_classes: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.linear = nn.Linear(num_features, num_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, C)."""
        logits: Tensor = self.linear(directions(features)) / self.temperature
        return logits


class MME(WeightedAlignment):
    r"""Minimax entropy (Saito et al., ICCV 2019), https://arxiv.org/abs/1904.06487.

    .. math:: -\frac{w}{M} \sum_j H\left( \mathrm{softmax} \frac{W^\top f_j}{T \lVert f_j \rVert} \right)

    on unlabelled target features f behind a gradient reversal. The classifier's weights are class prototypes. The
    classifier maximizes the entropy, which moves the prototypes to the target; the features minimize it and gather
    around the prototypes. The method is meant for semi-supervised tasks (``:3shot``), with labelled target examples in
    the supervised loss. Without them it is unsupervised adaptation.

    Differs from the paper: both losses share one step instead of having one step each.

    Args:
        num_features: D.
        num_classes: C.
        temperature: T.
        weight: w (lambda in the paper).
    """

    paper = Paper(
        title="Semi-supervised Domain Adaptation via Minimax Entropy",
        authors=("Saito", "Kim", "Sclaroff", "Darrell", "Saenko"),
        venue="ICCV",
        year=2019,
        arxiv="1904.06487",
    )
    space = Space(weight=LogUniform(0.01, 1.0))

    def __init__(self, num_features: int, num_classes: int, *, temperature: float = 0.05, weight: float = 0.1) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_positive(temperature=temperature)
        self.head = CosineHead(num_features, num_classes, temperature)

    def make_head(self) -> nn.Module:
        """Return the cosine classifier, which is also part of the method."""
        return self.head

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted, negative entropy of the head's predictions for target features (M, D)."""
        uncertainty = entropy(self.head(gradient_reversal(target.features))).mean()
        return {"loss": -self.weight * uncertainty, "entropy": uncertainty.detach()}
