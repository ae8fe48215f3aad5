"""ALE: a bilinear compatibility trained to rank the right class first."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.functional.ranking import harmonic_number, margin_violations
from tlzoo.methods.zeroshot.bilinear import Bilinear
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Losses

__all__ = ["ALE"]


class ALE(Bilinear):
    r"""Attribute label embedding (Akata et al., CVPR 2013; TPAMI 2016), https://arxiv.org/abs/1503.08677.

    .. math::

        F(x, c) = f^\top W a_c, \qquad
        \ell = \frac{\beta_r}{r} \sum_{c \ne y} \left[ m + F(x, c) - F(x, y) \right]_+, \qquad
        \beta_r = \sum_{i=1}^{r} \frac{1}{i}

    with the number r of violators. This is the weighted approximate ranking of WSABIE, in which the top of the list
    counts most.

    Args:
        num_features: D.
        num_embedding: A.
        margin: m, the required lead of the right class; 1 in the paper.

    No gradient flows through the weight, because r is a count.

    >>> import torch
    >>> ale = ALE(2, 2)
    >>> _ = torch.nn.init.eye_(ale.weight)
    >>> ale.loss(torch.eye(2), torch.tensor([1, 1]), torch.eye(2))["loss"].item()
    1.0

    Differs from the paper: batches instead of single examples, and the exact rank instead of an estimate from sampling
    until a violator appears.
    """

    paper = Paper(
        title="Label-Embedding for Image Classification",
        authors=("Akata", "Perronnin", "Harchaoui", "Schmid"),
        venue="TPAMI",
        year=2016,
        arxiv="1503.08677",
    )
    space = Space(margin=LogUniform(0.1, 10.0))

    def __init__(self, num_features: int, num_embedding: int, *, margin: float = 1.0) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(margin=margin)
        self.margin = margin

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the mean loss of a batch."""
        hinges = margin_violations(self.scores(features, class_embeddings), labels, margin=self.margin)
        rank = (hinges > 0).sum(dim=1)
        weight = (harmonic_number(rank) / rank.clamp_min(1)).to(hinges)
        return {"loss": (weight * hinges.sum(dim=1)).mean(), "rank": rank.to(hinges).mean()}
