"""RSD: bring the subspaces that two batches span together, and leave the scale of features alone."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.regression import subspace_distance
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["RSD"]


class RSD(Statistic):
    r"""Representation subspace distance (Chen et al., ICML 2021), https://proceedings.mlr.press/v139/chen21u.html.

    .. math:: w \left( \sum_i \sin \theta_i + m \, \lVert \, |P| - |Q| \, \rVert_F \right)

    with the principal angles between the subspaces that the features of the two batches span, and the mismatch of their
    bases; see :func:`tlzoo.functional.subspace_distance`. Made for regression, where pulling distributions together
    changes the scale of features and with it the answers.

    Both sides count with as many rows: the larger is cut to the smaller, rows that depend linearly on others are left
    out, and at most D / 2 stay, because larger subspaces always share directions, where the gradient is no number.

    Differs from the paper: targets are standardized where the paper scales them to [0, 1], so the squared error, and
    the best weight with it, is about ten times as large.

    Args:
        num_features: D.
        num_classes: C; in a regression T.
        mismatch_weight: m, the authors' weight of the bases mismatch penalty.
        weight: trade-off of the term.

    >>> import torch
    >>> source = Prediction(features=torch.eye(2, 3), logits=torch.zeros(2, 1))
    >>> RSD(num_features=3, num_classes=1)(source, source)["loss"].item()
    0.0
    """

    for_regression = True
    paper = Paper(
        title="Representation Subspace Distance for Domain Adaptation Regression",
        authors=("Chen", "Wang", "Wang", "Long"),
        venue="ICML",
        year=2021,
        page="https://proceedings.mlr.press/v139/chen21u.html",
    )
    logged = "subspace_distance"
    space = Space(weight=LogUniform(0.0001, 0.1))
    variants = ({}, {"mismatch_weight": 0.0})

    def __init__(
        self, num_features: int, num_classes: int, *, mismatch_weight: float = 0.01, weight: float = 0.001
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_at_least(0, mismatch_weight=mismatch_weight)
        self.mismatch_weight = mismatch_weight

    @property
    def order_matters(self) -> bool:
        """Of large batches, the first rows count."""
        return True

    @property
    def transformable(self) -> bool:
        """Independent rows are found outside torch."""
        return False

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the distance of the subspaces of ``source.features`` (N, D) and ``target.features`` (M, D).

        Raises:
            ValueError: all features of a side are 0.
        """
        sides = [_independent(side.features) for side in (source, target)]
        count = min(map(len, sides))
        if not count:
            raise ValueError(
                f"{type(self).__name__}: all features of a side are 0, which span nothing; see the network"
            )
        count = min(count, max(self.num_features // 2, 1))
        ours, theirs = (side[:count] for side in sides)
        return subspace_distance(ours, theirs, mismatch_weight=self.mismatch_weight)


def _independent(rows: Tensor) -> Tensor:
    """Return a largest set of linearly independent rows of (N, D) in their order, at most D."""
    values = rows.detach().double()
    lengths = torch.linalg.svdvals(values)
    limit = max(rows.shape) * torch.finfo(rows.dtype).eps * lengths.amax()
    rank = int((lengths > limit).sum())
    if rank == len(rows):
        return rows
    from scipy.linalg import qr  # here: few batches need it

    order = qr(values.T.cpu().numpy(), mode="r", pivoting=True)[1]
    return rows[torch.as_tensor(sorted(order[:rank].tolist()), dtype=torch.long, device=rows.device)]
