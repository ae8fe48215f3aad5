"""TJM: transfer components that leave out source examples which do not fit the target."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.methods.transfer_components import TransferComponents, marginal_contrast
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space

__all__ = ["TJM"]

_SMALLEST = 1e-8
"""Lower bound on the norm of an example's coefficients, by which the penalty divides."""


class TJM(TransferComponents):
    r"""Transfer joint matching (Long et al., CVPR 2014), https://doi.org/10.1109/CVPR.2014.183.

    As :class:`~tlzoo.methods.adaptation.tca.TCA` with the linear kernel, but the coefficients A of source examples are
    penalized by their norms, so that examples which do not help have none:

    .. math:: \lambda \left( \lVert A_s \rVert_{2,1} + \lVert A_t \rVert_F^2 \right)

    It alternates between the components and the weights :math:`g_i = 1 / (2 \lVert a_i \rVert)` of the source's rows,
    1 in the first round. K = 20 is the paper's value for Office-Caltech10.

    Differs from the paper: g has no factor 1/2, as in the authors' script; the scale of components and rows is that of
    the script, see the base class.

    Args:
        num_features: D.
        num_classes: C.
        rounds: how often components are found.
        dimensions: K.
        regularization: lambda.
        unit_length: whether rows have length 1 before and after.
        standardize: whether each domain is standardized first.
    """

    for_regression = True
    paper = Paper(
        title="Transfer Joint Matching for Unsupervised Domain Adaptation",
        authors=("Long", "Wang", "Ding", "Sun", "Yu"),
        venue="CVPR",
        year=2014,
        doi="10.1109/CVPR.2014.183",
    )
    space = Space(dimensions=Choice((20, 40, 80, 160)), regularization=LogUniform(0.01, 100.0))
    variants = ({}, {"dimensions": 2, "rounds": 3})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        rounds: int = 10,
        dimensions: int = 20,
        regularization: float = 1.0,
        unit_length: bool = True,
        standardize: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            num_classes,
            dimensions=dimensions,
            regularization=regularization,
            unit_length=unit_length,
            standardize=standardize,
        )
        check_counts(rounds=rounds)
        self.rounds = rounds

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the components of source (N, D) and target (M, D), in float64.

        With weights G of the rows, a coefficient matrix is G^-1 U L^-T B with U the left singular vectors of the
        examples and L L^T = U^T G^-1 U, and its penalty is the squared norm of B.

        Raises:
            ValueError: a side is empty, or nothing varies.
        """
        left, lengths, right = self.factors(source, target)
        contrast = marginal_contrast(len(source), len(target), left)
        weights = torch.ones(len(left), dtype=left.dtype, device=left.device)
        for _ in range(self.rounds):
            factor = torch.linalg.cholesky(left.T @ (left / weights[:, None]))
            self.learn(left * lengths.square() @ factor, contrast, right * lengths @ factor)
            coordinates = torch.linalg.solve_triangular(factor.T, self.directions, upper=True)
            coefficients = left / weights[:, None] @ coordinates
            norms = torch.linalg.vector_norm(coefficients[: len(source)], dim=1)
            weights[: len(source)] = 1 / norms.clamp_min(_SMALLEST)
