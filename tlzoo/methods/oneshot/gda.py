"""GDA: a Gaussian of each class with one covariance, beside the texts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.image_text_classifier import ImageTextClassifier, class_means, one_hot
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["GDA"]


class GDA(ImageTextClassifier):
    r"""Gaussian discriminant analysis beside CLIP (Wang et al., ICLR 2024), https://arxiv.org/abs/2402.04087.

    .. math:: \tau q^\top t_c + \alpha \left(q^\top P \mu_c - \tfrac12 \mu_c^\top P \mu_c - \ln C\right),
        \quad P = D \left((S - 1) \Sigma + \mathrm{tr}(\Sigma) I\right)^{-1}

    with the class means :math:`\mu` of the support and the covariance :math:`\Sigma` (over S - 1) of what is left after
    them. With one shot there is no covariance, P is zero and the texts alone answer, as in the authors' code, whose
    pseudo-inverse is zero. Classes without support are scored by their text.

    Differs from the paper: the support is one picture an item, not ten augmented ones. The way to synthesize support
    for new classes, by nearest neighbors, is left out.

    Args:
        scale: tau.
        alpha: weight of the Gaussian classifier. The paper picks it from 0.0001 to 100 on validation data.
    """

    paper = Paper(
        title="A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation",
        authors=("Wang", "Liang", "Sheng", "He", "Wang", "Tan"),
        venue="ICLR",
        year=2024,
        arxiv="2402.04087",
    )
    space = Space(alpha=LogUniform(1e-4, 100.0))

    def __init__(self, *, scale: float = 100.0, alpha: float = 1.0) -> None:
        super().__init__(scale=scale)
        check_at_least(0, alpha=alpha)
        self.alpha = alpha

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        targets = one_hot(labels, way, support)
        means = class_means(support, targets)
        weights = _precise(support - targets @ means, means)
        gaussian = query @ weights.mT - (weights * means).sum(dim=-1).unsqueeze(1) / 2 - math.log(way)
        logits = self.text_logits(query, texts)
        return torch.cat([logits[..., :way] + self.alpha * gaussian, logits[..., way:]], dim=-1)


def _precise(centered: Tensor, means: Tensor) -> Tensor:
    """Return P times each of the means (E, C, D), for centered support (E, S, D), by a system of S equations."""
    count, width = centered.shape[1:]
    ridge = centered.square().sum(dim=(1, 2))[:, None, None] / max(count - 1, 1)
    # relative to the means' own size: what is left after the mean of one shot is rounding
    usable = ridge > 1e-10 * means.square().mean(dim=(1, 2), keepdim=True)
    ridge = torch.where(usable, ridge, torch.ones_like(ridge))
    gram = centered @ centered.mT + ridge * torch.eye(count, dtype=centered.dtype, device=centered.device)
    along = torch.linalg.solve(gram, centered @ means.mT)
    return torch.where(usable, width / ridge * (means - (centered.mT @ along).mT), torch.zeros_like(means))
