"""SimpleShot: nearest centroids of transformed features."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tlzoo.functional import negative_squared_distances, prototypes
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper

__all__ = ["SimpleShot"]


class SimpleShot(FeatureClassifier):
    r"""SimpleShot (Wang, Chao, Weinberger & van der Maaten, 2019), https://arxiv.org/abs/1911.04623.

    Features stay unchanged (UN), are divided by their norm (L2N), or are centered by the mean of the base set and then
    divided by their norm (CL2N). The nearest centroid determines the class; as in the paper, centroids are not
    normalized again:

    .. math:: \text{logits}_c = -\lVert f - m_c \rVert^2

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.

    >>> import torch
    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0]]])
    >>> SimpleShot(2, transform="L2N")(support, labels, query, way=2).tolist()
    [[[0.0, -2.0]]]
    """

    paper = Paper(
        title="SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning",
        authors=("Wang", "Chao", "Weinberger", "van der Maaten"),
        venue="arXiv",
        year=2019,
        arxiv="1911.04623",
    )
    variants = ({}, {"transform": "L2N"}, {"transform": "UN"})
    rotation_invariant = True

    def __init__(self, num_features: int, *, transform: Transform = "CL2N", base_mean: Any = None) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        return negative_squared_distances(query, prototypes(support, support_labels, way))
