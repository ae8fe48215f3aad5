"""Linear optimal transport: map the source onto the target as one Gaussian onto another."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import covariance
from tlzoo.functional.checks import check_at_least, check_pair, check_positive_definite
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.paper import Paper

__all__ = ["LinearOT"]


class LinearOT(FeatureTransform):
    r"""Linear Monge mapping (Flamary et al., arXiv 2019), https://arxiv.org/abs/1905.10155; closed form by POT.

    .. math::

        x \mapsto m_t + (x - m_s) A, \qquad
        A = C_s^{-1/2} \left( C_s^{1/2} C_t C_s^{1/2} \right)^{1/2} C_s^{-1/2}

    Of all maps from one Gaussian to the other, this one moves the source least. The target stays, and both are
    standardized by the target's mean and deviation. Without regularization, the mapped source has exactly the target's
    mean and covariance, which takes more examples than dimensions.

    Differs from the paper: ``regularization`` times the mean variance of both domains is added to the diagonals,
    because frozen features often have more dimensions than examples.

    Args:
        num_features: D.
        num_classes: C.
        regularization: share of the mean variance.

    >>> source = torch.tensor([[0.0], [2.0]])
    >>> method = LinearOT(1, 2, regularization=0.0).fit(source, 3 * source + 1)
    >>> torch.allclose(method.transform_source(source), method.transform_target(3 * source + 1))
    True
    """

    label = "linear OT"
    for_regression = True
    paper = Paper(
        title="Concentration bounds for linear Monge mapping estimation and optimal transport domain adaptation",
        authors=("Flamary", "Lounici", "Ferrari"),
        venue="arXiv",
        year=2019,
        arxiv="1905.10155",
    )
    variants = ({}, {"regularization": 0.1})

    def __init__(self, num_features: int, num_classes: int, *, regularization: float = 1e-3) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, regularization=regularization)
        self.regularization = regularization
        self.register_buffer("map", torch.full((num_features, num_features), torch.nan))

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the map from source (N, D) and target (M, D), in float64 on the CPU.

        Raises:
            ValueError: a side has fewer than two rows, or a covariance is singular despite the regularization.
        """
        check_pair(source, target, least=2)
        import ot  # here: it loads SciPy's solvers, which nobody else needs

        sides = {"source": source.double().cpu(), "target": target.double().cpu()}
        means = {name: features.mean(dim=0) for name, features in sides.items()}
        covariances = {name: covariance(features) for name, features in sides.items()}
        level = self.regularization * float(sum(c.diagonal().mean() for c in covariances.values())) / 2
        for name, matrix in covariances.items():
            matrix.diagonal().add_(level)
            check_positive_definite(torch.linalg.eigvalsh(matrix), what=f"LinearOT: the covariance of the {name}")
        found, _ = ot.gaussian.bures_wasserstein_mapping(
            *(side.numpy() for side in (*means.values(), *covariances.values()))
        )
        self.get_buffer("map").copy_(torch.from_numpy(found))
        for name, features in sides.items():
            self._remember(name, features)

    def map_source(self, features: Tensor) -> Tensor:
        """Map features (B, D), then standardize them by the target's mean and deviation."""
        moved = (features - fitted(self, "source_mean")) @ fitted(self, "map")  # from the mean of the target
        return moved / fitted(self, "target_deviation")
