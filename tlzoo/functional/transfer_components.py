"""Directions along which two domains vary much and differ little: the eigenproblem of TCA and its descendants."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.precision import matmul

__all__ = ["mean_contrasts", "transfer_components"]


def transfer_components(points: Tensor, contrasts: Tensor, *, count: int, regularization: float) -> Tensor:
    r"""Return the (R, K) directions of largest variance with the smallest contrasts, the best first.

    .. math::

        \max_A \; \operatorname{tr}(A^\top \Phi^\top H \Phi A) \quad \text{with} \quad
        A^\top (\Phi^\top E E^\top \Phi + \lambda I) A = I

    with centering H. Since E has few columns, the constraint is whitened by their singular vectors in closed form, and
    one symmetric eigenproblem of size R remains.

    Args:
        points: Phi (N, R), float64.
        contrasts: E (N, P), such as :func:`mean_contrasts`.
        count: K, at most R.
        regularization: lambda > 0.

    >>> points = torch.tensor([[0.0, 0.0], [2.0, 0.1], [0.0, 5.0], [2.0, 5.1]]).double()  # the domains differ in y
    >>> contrasts = torch.tensor([[0.5], [0.5], [-0.5], [-0.5]]).double()
    >>> transfer_components(points, contrasts, count=1, regularization=1e-3).flatten().abs().argmax().item()
    0
    """
    centered = points - points.mean(dim=0)
    left, lengths, _ = torch.linalg.svd(matmul(points.T, contrasts), full_matrices=False)  # (R, P)
    shrunk = (lengths.square() + regularization).rsqrt() - regularization**-0.5

    def whitened(rows: Tensor) -> Tensor:
        """Multiply rows (B, R) by the inverse square root of the constraint's matrix."""
        product: Tensor = rows * regularization**-0.5 + matmul(matmul(rows, left) * shrunk, left.T)
        return product

    scatter = whitened(centered)
    _, directions = torch.linalg.eigh(matmul(scatter.T, scatter))
    best: Tensor = whitened(directions[:, -count:].flip(1).T).T
    return best


def mean_contrasts(labels: Tensor, answers: Tensor, classes: int, *, balance: bool = False) -> Tensor:
    """Return (N + M, C) contrasts: column c holds the difference of the means of class c between source and target.

    Args:
        labels: (N,) classes of the source.
        answers: (M,) classes of the target.
        classes: C; of a class that a side lacks, the other side's mean alone is left.
        balance: whether each side's mean counts by the square root of the class's share in it.

    >>> (mean_contrasts(torch.tensor([0, 0, 1]), torch.tensor([1]), 2).T + 0).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]]
    """
    sides = []
    for side in (labels, answers):
        members = torch.nn.functional.one_hot(side, classes).double()
        counts = members.sum(dim=0)
        share = (counts / len(side)).sqrt() if balance else 1.0
        sides.append(members / counts.clamp_min(1) * share)
    return torch.cat([sides[0], -sides[1]])
