"""Source weights from a classifier that tells the domains apart."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.source_weighting import SourceWeighting
from tlzoo.nn.logistic import LogisticClassifier
from tlzoo.paper import Paper

__all__ = ["DiscriminatorReweighting"]


class DiscriminatorReweighting(SourceWeighting):
    r"""Odds of a domain classifier (Bickel, Brueckner & Scheffer, ICML 2007), https://doi.org/10.1145/1273496.1273507.

    .. math:: w_i = \frac{N}{M} \cdot \frac{p(\text{target} \mid x_i)}{p(\text{source} \mid x_i)}

    by logistic regression, which estimates the ratio of densities without estimating either.

    Differs from the paper: the domain classifier is trained first, then that of the classes; the paper trains both
    together, and finds this order as good.

    Args:
        num_features: D.
        num_classes: C.
        penalty: of the domain classifier, see :class:`~tlzoo.nn.logistic.LogisticClassifier`.
        standardize: whether features are standardized by the source's mean and deviation first.
    """

    label = "discriminator reweighting"
    for_regression = True
    paper = Paper(
        title="Discriminative Learning for Differing Training and Test Distributions",
        authors=("Bickel", "Brueckner", "Scheffer"),
        venue="ICML",
        year=2007,
        doi="10.1145/1273496.1273507",
    )
    variants = ({}, {"penalty": 10.0, "standardize": False})

    def __init__(self, num_features: int, num_classes: int, *, penalty: float = 1.0, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        check_positive(penalty=penalty)
        self.penalty = penalty

    def weigh(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the odds (N,) that source (N, D) is target (M, D), divided by the largest."""
        domains = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()
        classifier = LogisticClassifier(source.shape[1], 2, penalty=self.penalty).double()
        logits = classifier.fit(torch.cat([source, target]), domains)(source)
        odds: Tensor = logits[:, 1] - logits[:, 0]
        return (odds - odds.max()).exp()
