"""Ridge regression on indicators of classes, with a penalty chosen by leave-one-out in closed form."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tlzoo.nn.logistic import ABSENT, check_examples

__all__ = ["RidgeClassifier"]


class RidgeClassifier(nn.Module):
    r"""A linear classifier by least squares on one-hot labels.

    .. math:: \min_{W, b} \; \sum_i \lVert W f_i + b - e_{y_i} \rVert^2 + \lambda \lVert W \rVert^2

    The intercept b is not penalized. Without a penalty the largest one of :attr:`penalties` is taken whose
    leave-one-out accuracy is within one standard error of the best (the one-standard-error rule of Breiman et al.,
    1984): it leans to the simplest classifier that the examples cannot tell from the best, which holds up better under
    a shift. Leave-one-out takes no further fits: :math:`\hat y_i - e_{y_i}` is divided by :math:`1 - h_{ii}`, with h
    the hat matrix. All is computed in float64 from one eigendecomposition of the products of the examples.

    Args:
        num_features: D.
        num_classes: C; classes without examples are never predicted.
        penalty: lambda; None to choose it.

    Attributes:
        penalties: those to choose from, for features whose mean square is about 1.

    >>> points = torch.tensor([[0.0], [1.0], [4.0], [5.0]])
    >>> classifier = RidgeClassifier(1, 2, penalty=0.1).fit(points, torch.tensor([0, 0, 1, 1]))
    >>> classifier(torch.tensor([[0.5], [4.5]])).argmax(dim=1).tolist()
    [0, 1]
    """

    weighs: ClassVar[bool] = False
    weight: Tensor
    bias: Tensor
    penalties: tuple[float, ...] = tuple(10 ** (exponent / 4) for exponent in range(2, 19))

    def __init__(self, num_features: int, num_classes: int, *, penalty: float | None = None) -> None:
        super().__init__()
        if penalty is not None and penalty <= 0:
            raise ValueError(f"penalty {penalty}; expected a number > 0, or None")
        self.num_features, self.num_classes, self.penalty = num_features, num_classes, penalty
        self.register_buffer("weight", torch.full((num_classes, num_features), torch.nan))
        self.register_buffer("bias", torch.full((num_classes,), torch.nan))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Self:
        """Fit it to features (N, D) and labels (N,); it weighs no examples.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or there are fewer than two classes.
        """
        check_examples(features, labels, weights, self.num_features, self.num_classes)
        x, wanted = features.double(), torch.eye(self.num_classes).to(features.device).double()[labels]
        mean, share = x.mean(dim=0), wanted.mean(dim=0)
        centered = x - mean
        values, vectors = torch.linalg.eigh(centered @ centered.T)
        values, rotated = values.clamp(min=0), vectors.T @ (wanted - share)
        penalty = self.penalty or self._chosen(values, vectors, rotated, wanted, share, labels)
        weight = centered.T @ (vectors @ (rotated / (values + penalty)[:, None]))
        self.weight.copy_(weight.T)
        self.bias.copy_((share - mean @ weight).where(share > 0, ABSENT))
        return self

    def _chosen(
        self, values: Tensor, vectors: Tensor, rotated: Tensor, wanted: Tensor, share: Tensor, labels: Tensor
    ) -> float:
        """Return the penalty by leave-one-out and the one-standard-error rule."""
        count, found = len(labels), []
        for penalty in self.penalties:
            shrunk = values / (values + penalty)
            leverage = (vectors.square() @ shrunk + 1 / count)[:, None].clamp(max=1 - 1e-9)
            left_out = (vectors @ (shrunk[:, None] * rotated) + share - leverage * wanted) / (1 - leverage)
            found.append(float((left_out.argmax(dim=1) == labels).double().mean()))
        error: float = (max(found) * (1 - max(found)) / count) ** 0.5
        return max(p for p, accuracy in zip(self.penalties, found, strict=True) if accuracy >= max(found) - error)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to scores (B, C), about 1 for the class and 0 for the others.

        Raises:
            RuntimeError: it has not been fitted.
        """
        if bool(self.bias.isnan().any()):
            raise RuntimeError(f"{type(self).__name__} knows no classes yet; call fit first")
        return features @ self.weight.T + self.bias
