"""Baseline++: a cosine classifier trained on the support."""

from __future__ import annotations

from typing import Any

from tlzoo.functional.checks import check_positive
from tlzoo.methods.oneshot.descent import DescendingClassifier
from tlzoo.methods.oneshot.features import Transform
from tlzoo.methods.oneshot.linear_baseline import LinearBaseline

__all__ = ["BaselinePP"]


class BaselinePP(DescendingClassifier):
    r"""Baseline++ (Chen, Liu, Kira, Wang & Huang, ICLR 2019), https://arxiv.org/abs/1904.04232.

    .. math:: \text{logits}_c = s \cos(f, w_c)

    The class weights w are trained on the support by cross-entropy.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot; the paper has UN.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        scale: s; in the paper 2 with few base classes, 30 with many.
        steps: number of descent steps.
        rate: length of a step.

    Differs from the paper: weights start at the class means instead of random values, and step lengths do not depend on
    the coordinates; features are CL2N by default.

    >>> import torch
    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0]]])
    >>> BaselinePP(2, transform="UN")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0]]
    """

    label = "Baseline++"
    paper = LinearBaseline.paper
    variants = ({}, {"transform": "UN", "scale": 30.0})

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        scale: float = 2.0,
        steps: int = 100,
        rate: float = 0.01,
    ) -> None:
        check_positive(scale=scale)
        super().__init__(
            num_features, transform, base_mean=base_mean, distance="cosine", temperature=scale, steps=steps, rate=rate
        )
