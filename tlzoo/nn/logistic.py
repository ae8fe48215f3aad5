"""A classifier on frozen features that needs no training loop."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ABSENT", "LogisticClassifier", "check_examples"]

ABSENT = -100.0
"""The logit of a class without examples; the others add up to 0, so one of them is always higher."""


class LogisticClassifier(nn.Module):
    r"""Multinomial logistic regression, solved by scikit-learn (L-BFGS, an L2 penalty).

    .. math:: \min_{W, b} \; \sum_i \mathrm{CE}(W f_i + b, y_i) + \frac{\lambda}{2} \lVert W \rVert^2

    The intercept b is not penalized. Features should have the scale that the penalty assumes, usually standardized. The
    fitted weights are buffers, which are NaN before the fit.

    Args:
        num_features: D.
        num_classes: C; classes without examples are never predicted.
        penalty: lambda, 1 / C in scikit-learn's terms.
        steps: largest number of L-BFGS steps.

    Raises:
        ValueError: the penalty is not positive.

    >>> points = torch.tensor([[0.0], [1.0], [4.0], [5.0]])
    >>> classifier = LogisticClassifier(1, 2).fit(points, torch.tensor([0, 0, 1, 1]))
    >>> classifier(torch.tensor([[0.5], [4.5]])).argmax(dim=1).tolist()
    [0, 1]
    """

    weighs: ClassVar[bool] = True
    weight: Tensor
    bias: Tensor

    def __init__(self, num_features: int, num_classes: int, *, penalty: float = 1.0, steps: int = 1000) -> None:
        super().__init__()
        if penalty <= 0:
            raise ValueError(f"penalty {penalty}; expected a number > 0")
        self.num_features, self.num_classes, self.penalty, self.steps = num_features, num_classes, penalty, steps
        self.register_buffer("weight", torch.full((num_classes, num_features), torch.nan))
        self.register_buffer("bias", torch.full((num_classes,), torch.nan))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Self:
        """Fit it to features (N, D), labels (N,) and weights (N,) of the examples, in float64.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or there are fewer than two classes.
        """
        check_examples(features, labels, weights, self.num_features, self.num_classes)
        from sklearn.linear_model import (
            LogisticRegression,
        )  # here, because it loads much that a forward pass does not need

        solver = LogisticRegression(C=1 / self.penalty, max_iter=self.steps, tol=1e-6)
        shares = None if weights is None else weights.double().cpu().numpy()
        solver.fit(features.double().cpu().numpy(), labels.cpu().numpy(), sample_weight=shares)
        weight, bias = solver.coef_, solver.intercept_
        if len(weight) == 1:  # for two classes there is one row, the difference
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        present = torch.from_numpy(solver.classes_).to(labels)
        self.weight.zero_()
        self.bias.fill_(ABSENT)
        self.weight[present] = torch.from_numpy(weight).to(self.weight)
        self.bias[present] = torch.from_numpy(bias).to(self.bias)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, C).

        Raises:
            RuntimeError: it has not been fitted.
        """
        if bool(self.bias.isnan().any()):
            raise RuntimeError(f"{type(self).__name__} knows no classes yet; call fit first")
        return features @ self.weight.T + self.bias


def check_examples(
    features: Tensor, labels: Tensor, weights: Tensor | None, num_features: int, num_classes: int
) -> None:
    """Check what a classifier is fitted to.

    Raises:
        ValueError: the shapes do not fit, a label is out of range, there are fewer than two classes, or a weight is
            negative.
    """
    if features.ndim != 2 or features.shape[1] != num_features or labels.shape != features.shape[:1]:
        raise ValueError(
            f"features and labels of shapes {tuple(features.shape)} and {tuple(labels.shape)}; expected "
            f"(N, {num_features}) and (N,)"
        )
    if weights is not None and (weights.shape != labels.shape or bool((weights < 0).any())):
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected {tuple(labels.shape)}, none below 0")
    classes = sorted(set(labels.tolist()))
    if len(classes) < 2 or classes[0] < 0 or classes[-1] >= num_classes:
        raise ValueError(f"labels {classes[:10]}; expected two classes or more, from 0 to {num_classes - 1}")
