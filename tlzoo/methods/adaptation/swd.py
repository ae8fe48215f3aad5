"""SWD: MCD with the sliced Wasserstein distance between the predictions of two classifiers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import sliced_wasserstein
from tlzoo.functional.checks import check_counts
from tlzoo.methods.confusion.mcd import MCD
from tlzoo.paper import Paper

__all__ = ["SWD"]


class SWD(MCD):
    r"""Sliced Wasserstein discrepancy (Lee et al., CVPR 2019), https://arxiv.org/abs/1903.04064.

    It has the three phases of MCD. The discrepancy is the mean squared Wasserstein distance between the predictions of
    both classifiers, projected onto random directions:

    .. math:: \frac{1}{K} \sum_k W_2^2(p \, \theta_k, q \, \theta_k)

    Differs from the paper: the directions are drawn once, when the method is built, so that a checkpoint holds them.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the classifiers.
        repeats: steps of the features per batch.
        directions: K, the number of directions.
    """

    paper = Paper(
        title="Sliced Wasserstein Discrepancy for Unsupervised Domain Adaptation",
        authors=("Lee", "Batra", "Baig", "Ulbricht"),
        venue="CVPR",
        year=2019,
        arxiv="1903.04064",
    )
    directions: Tensor

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 256, repeats: int = 4, directions: int = 128
    ) -> None:
        super().__init__(num_features, num_classes, hidden=hidden, repeats=repeats)
        check_counts(directions=directions)
        self.register_buffer("directions", F.normalize(torch.randn(num_classes, directions), dim=0))

    def discrepancy(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the sliced distance of the class probabilities of logits (M, C)."""
        return sliced_wasserstein(first.softmax(dim=1), second.softmax(dim=1), self.directions)
