"""Ridge regression on features, with weights of examples and a penalty chosen by leave-one-out in closed form."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

__all__ = ["RidgeRegression"]


class RidgeRegression(nn.Module):
    r"""A linear map to T real numbers by least squares.

    .. math:: \min_{W, b} \; \sum_i w_i \lVert W f_i + b - y_i \rVert^2 + \lambda \lVert W \rVert^2

    The intercept b is not penalized. Without a penalty, that of :attr:`penalties` is taken whose leave-one-out error is
    the least, as a mean over targets in units of their variance; residuals are divided by :math:`1 - h_{ii}`, with h
    the hat matrix, so that it takes no further fits. All is computed in float64 from one singular value decomposition.

    Args:
        num_features: D.
        num_values: T.
        penalty: lambda; None to choose it.

    Attributes:
        penalties: those to choose from, for features whose mean square is about 1.

    >>> points = torch.tensor([[0.0], [1.0], [2.0]])
    >>> RidgeRegression(1, 1, penalty=1e-9).fit(points, 3 * points + 1)(torch.tensor([[5.0]])).round(decimals=4)
    tensor([[16.]])
    """

    weighs: ClassVar[bool] = True
    weight: Tensor
    bias: Tensor
    penalties: tuple[float, ...] = tuple(10 ** (exponent / 4) for exponent in range(-8, 21))

    def __init__(self, num_features: int, num_values: int, *, penalty: float | None = None) -> None:
        super().__init__()
        if penalty is not None and not penalty > 0:
            raise ValueError(f"penalty {penalty}; expected a number > 0, or None to choose it")
        self.num_features, self.num_values, self.penalty = num_features, num_values, penalty
        self.register_buffer("weight", torch.full((num_values, num_features), torch.nan))
        self.register_buffer("bias", torch.full((num_values,), torch.nan))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Self:
        """Fit it to features (N, D), labels (N, T) and weights (N,) of the examples.

        Raises:
            ValueError: the shapes do not fit, or there are fewer than two examples.
        """
        count = len(features)
        if features.shape != (count, self.num_features) or labels.shape != (count, self.num_values) or count < 2:
            raise ValueError(
                f"features {tuple(features.shape)} and labels {tuple(labels.shape)}; expected (N, {self.num_features}) "
                f"and (N, {self.num_values}) with N of two or more"
            )
        x, wanted = features.double(), labels.to(features.device).double()
        shares = x.new_ones(count) if weights is None else weights.to(x)
        total = shares.sum()
        mean, level = shares @ x / total, shares @ wanted / total
        roots = shares.sqrt()[:, None]
        left, lengths, right = torch.linalg.svd(roots * (x - mean), full_matrices=False)
        rotated = left.T @ (roots * (wanted - level))
        penalty = self.penalty
        if penalty is None:
            penalty = self._chosen(left, lengths.square(), rotated, roots * (wanted - level), shares / total)
        weight = right.T @ (rotated * (lengths / (lengths.square() + penalty))[:, None])
        self.weight.copy_(weight.T)
        self.bias.copy_(level - mean @ weight)
        return self

    def _chosen(self, left: Tensor, squares: Tensor, rotated: Tensor, wanted: Tensor, shares: Tensor) -> float:
        """Return the penalty with the least leave-one-out error."""
        spread = wanted.square().sum(dim=0)
        spread = torch.where(spread > 0, spread, 1.0)
        errors = []
        for penalty in self.penalties:
            shrunk = squares / (squares + penalty)
            leverage = (left.square() @ shrunk + shares)[:, None].clamp(max=1 - 1e-9)
            residuals = (wanted - left @ (shrunk[:, None] * rotated)) / (1 - leverage)
            errors.append(float((residuals.square().sum(dim=0) / spread).mean()))
        return self.penalties[min(range(len(errors)), key=errors.__getitem__)]

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to values (B, T).

        Raises:
            RuntimeError: it has not been fitted.
        """
        if bool(self.bias.isnan().any()):
            raise RuntimeError(f"{type(self).__name__} knows no values yet; call fit first")
        return features @ self.weight.T + self.bias
