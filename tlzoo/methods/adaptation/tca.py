"""TCA: components that vary much and whose mean is the same in both domains."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.transfer_components import TransferComponents, marginal_contrast
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space

__all__ = ["TCA"]


class TCA(TransferComponents):
    r"""Transfer component analysis (Pan et al., TNN 2011), https://doi.org/10.1109/TNN.2010.2091281.

    With the contrast e of the means of the domains (1/N on the source, -1/M on the target), see
    :class:`~tlzoo.methods.transfer_components.TransferComponents`:

    .. math:: M = \frac{e e^\top}{\lVert e \rVert^2}

    so that the components minimize the maximum mean discrepancy. K = 100 and lambda = 1 are those of the tables of Long
    et al. (ICCV 2013).

    Differs from the paper: the kernel is linear (the paper also has RBF and Laplacian kernels); the scale of components
    and rows is that of the published tables, see the base class.

    Args:
        num_features: D.
        num_classes: C.
        dimensions: K.
        regularization: lambda.
        kernel: ``"linear"`` or ``"primal"``.
        unit_length: whether rows have length 1 before and after.
        standardize: whether each domain is standardized first.

    >>> import torch
    >>> points = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    >>> TCA(5, 2, dimensions=2).fit(points, points + 3).transform_target(points).shape
    torch.Size([40, 2])
    """

    for_regression = True
    paper = Paper(
        title="Domain Adaptation via Transfer Component Analysis",
        authors=("Pan", "Tsang", "Kwok", "Yang"),
        venue="IEEE Transactions on Neural Networks",
        year=2011,
        doi="10.1109/TNN.2010.2091281",
    )
    space = Space(dimensions=Choice((20, 50, 100, 200)), regularization=LogUniform(0.01, 100.0))
    variants = ({}, {"dimensions": 2, "kernel": "primal", "unit_length": False})

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the components of source (N, D) and target (M, D), in float64.

        Raises:
            ValueError: a side is empty, or nothing varies.
        """
        points, back = self.coordinates(*self.factors(source, target))
        self.learn(points, marginal_contrast(len(source), len(target), points), back)
