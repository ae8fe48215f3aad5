"""A bilinear compatibility trained by cross-entropy."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_positive
from tlzoo.methods.zeroshot.bilinear import Bilinear
from tlzoo.types import Losses

__all__ = ["BilinearSoftmax"]


class BilinearSoftmax(Bilinear):
    r"""Bilinear scores, trained as the logits of a softmax over the seen classes.

    .. math:: F(x, c) = s \, f^\top W a_c

    It is the plain counterpart of the ranking losses (DeViSE, SJE, ALE): a linear classifier with class weights W a.

    Args:
        num_features: D.
        num_embedding: A.
        scale: initial value of the learned factor s; without it, unit vectors would keep the logits near 0.

    >>> softmax = BilinearSoftmax(2, 2, scale=1.0)
    >>> _ = torch.nn.init.zeros_(softmax.weight)
    >>> round(softmax.loss(torch.eye(2), torch.tensor([0, 1]), torch.eye(2))["loss"].exp().item(), 3)
    2.0
    """

    def __init__(self, num_features: int, num_embedding: int, *, scale: float = 20.0) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(scale=scale)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the mean cross-entropy of a batch."""
        logits = self.log_scale.exp() * self.scores(features, class_embeddings)
        return {"loss": F.cross_entropy(logits, labels)}
