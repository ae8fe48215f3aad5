"""MME: the classifier raises the entropy of the target, the features lower it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import entropy, gradient_reversal
from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["MME", "CosineHead"]


class CosineHead(nn.Module):
    """Logits w_c^T f / (||f|| T): a linear layer without bias on features of norm 1; features of zeros give zeros.

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
        logits: Tensor = self.linear(F.normalize(features, dim=1)) / self.temperature
        return logits


class MME(Alignment):
    """Minimax entropy (Saito et al., ICCV 2019), https://arxiv.org/abs/1904.06487.

    loss = -weight * mean H(softmax(W^T f / (||f|| T))) on unlabelled target features f behind a gradient reversal: the
    classifier, whose weights are class prototypes, raises the entropy and so moves the prototypes to the target; the
    features lower it and gather around them. Meant for semi-supervised tasks (``:3shot``), where labelled target
    examples are in the supervised loss; without them it is unsupervised adaptation.

    Differs from the paper: both losses in one step instead of one step each.

    Args:
        num_features: D.
        num_classes: C.
        temperature: T.
        weight: lambda.
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
        super().__init__(num_features, num_classes)
        check_positive(temperature=temperature)
        check_at_least(0, weight=weight)
        self.weight = weight
        self.head = CosineHead(num_features, num_classes, temperature)

    def make_head(self) -> nn.Module:
        """Return the cosine classifier; it belongs to the method, too."""
        return self.head

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted, negative entropy of the head's answers to target features (M, D)."""
        uncertainty = entropy(self.head(gradient_reversal(target.features))).mean()
        return {"loss": -self.weight * uncertainty, "entropy": uncertainty.detach()}
